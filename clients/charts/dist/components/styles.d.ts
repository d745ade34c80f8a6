/** Give the shadow root the style of the components. */
export declare function dress(root: ShadowRoot): void;
