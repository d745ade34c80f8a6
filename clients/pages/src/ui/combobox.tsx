/** A text field with a list of what fits: typed in, or chosen by pointer and keys. */
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { described } from "./field.tsx";

export interface Option {
  value: string;
  /** Stands beside it: a type, a number. */
  hint?: string;
}

interface ComboboxProps {
  id: string;
  value: string;
  options: readonly Option[];
  commit: (value: string) => void;
  /** Whether something that is not in the list will do. */
  free?: boolean;
  /** What is taken in place of a text that is not in the list: the first that fits, or the first that begins with it. */
  prefer?: "first" | "beginning";
  label?: string;
  placeholder?: string;
  error?: string | undefined;
  onOpen?: () => void;
  onType?: (typed: string) => void;
}

const SHOWN_MAX = 100;

function matching(options: readonly Option[], typed: string): Option[] {
  const wanted = typed.toLowerCase();
  const found = options.filter(({ value }) => value.toLowerCase().includes(wanted));
  const rank = ({ value }: Option) => (value.toLowerCase().startsWith(wanted) ? 0 : 1);
  return (typed ? found.sort((a, b) => rank(a) - rank(b)) : found).slice(0, SHOWN_MAX);
}

export function Combobox(props: ComboboxProps) {
  const { id, value, options, commit, free = false, prefer, label, placeholder, error, onOpen, onType } = props;
  const list = useId();
  const input = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [isCut, setCut] = useState(false);
  // What does not fit stands below in full: a tooltip is out of reach of fingers and keys.
  useLayoutEffect(() => {
    const { scrollWidth, clientWidth } = input.current!;
    setCut(typed === null && scrollWidth > clientWidth);
  }, [value, typed]);
  const shown = open ? matching(options, typed ?? "") : [];

  const show = () => {
    if (!open) onOpen?.();
    setOpen(true);
  };
  const close = () => {
    setOpen(false);
    setActive(-1);
    setTyped(null);
  };
  const choose = (chosen: string) => {
    close();
    if (chosen !== value) commit(chosen);
  };
  const preferred = (text: string) => {
    const [first] = matching(options, text);
    return prefer === "first" || first?.value.toLowerCase().startsWith(text.toLowerCase()) ? prefer && first?.value : undefined;
  };
  const leave = () => {
    const exact = options.find((one) => one.value === typed);
    if (typed !== null && (free || exact || typed === "")) choose(exact || !typed ? typed : (preferred(typed) ?? typed));
    else close();
  };
  const keys: Record<string, () => void> = {
    ArrowDown: () => (show(), setActive(open ? Math.min(active + 1, shown.length - 1) : 0)),
    ArrowUp: () => setActive(Math.max(active - 1, free ? -1 : 0)),
    Enter: () => {
      const chosen = shown[active] ?? (free ? undefined : shown[0]);
      if (open && chosen && (active >= 0 || typed !== null)) choose(chosen.value);
      else if (open) leave();
      else show();
    },
    Escape: () => close(),
  };
  const key = (event: KeyboardEvent) => {
    const act = keys[event.key];
    if (!act || (event.key === "Escape" && !open)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };
  return (
    <div class="combo">
      <input
        {...described(id, error)}
        ref={input}
        role="combobox"
        aria-label={label}
        aria-expanded={shown.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={shown[active] ? `${list}-${active}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder={placeholder}
        value={typed ?? value}
        onInput={(event) => (setTyped(event.currentTarget.value), show(), setActive(-1), onType?.(event.currentTarget.value))}
        onClick={show}
        onFocus={(event) => event.currentTarget.select()}
        onKeyDown={key}
        onBlur={leave}
      />
      {isCut && (
        <span class="whole-value" aria-hidden="true">
          {value}
        </span>
      )}
      <ul role="listbox" id={list} aria-label={label ?? placeholder ?? id} hidden={shown.length === 0}>
        {shown.map((option, at) => (
          <li
            key={option.value}
            id={`${list}-${at}`}
            role="option"
            aria-selected={at === active}
            ref={(item) => {
              if (at === active) item?.scrollIntoView({ block: "nearest" });
            }}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => choose(option.value)}
          >
            <span>{option.value}</span>
            {option.hint && <small>{option.hint}</small>}
          </li>
        ))}
      </ul>
    </div>
  );
}
