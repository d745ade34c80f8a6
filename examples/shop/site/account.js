// A token ends after an hour; a page that stays open takes a new one before. Frame and picture are asked anew with it.
async function renew() {
  const answer = await fetch("/token");
  if (!answer.ok) return location.assign("/login");
  const { token, seconds } = await answer.json();
  document.querySelector("acumen-chart").setAttribute("token", token);
  for (const element of document.querySelectorAll(".charts iframe, .charts img")) {
    const address = new URL(element.src);
    address.searchParams.set("api_key", token);
    element.src = address.href;
  }
  later(seconds);
}

function later(seconds) {
  setTimeout(() => renew().catch(() => later(60)), seconds * 900);
}

later(Number(document.querySelector(".charts").dataset.seconds));
