// A click on "Buy" is a purchase. In a page anybody can record anything: where money or somebody's charts rest on an
// event, record it in the backend when the order is stored.
for (const button of document.querySelectorAll("button[data-product]")) {
  button.addEventListener("click", () => {
    const { product, price } = button.dataset;
    acumen.track("purchases", { product, price: Number(price) });
    document.querySelector("#bought").textContent = `Thank you: ${product} is on its way.`;
  });
}
