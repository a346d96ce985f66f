"use strict";
// What the page can do beyond being read. Everything it needs stands in the document; nothing is fetched.

const root = document.documentElement;

/** A browser may refuse storage to a file; the page then forgets. */
function remember(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function theme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.createElement("button");
  const shown = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const told = () => {
    button.textContent = shown() === "dark" ? "Light colours" : "Dark colours";
  };
  const kept = remember("rl-transfer-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  button.type = "button";
  button.addEventListener("click", () => {
    root.dataset.theme = remember("rl-transfer-theme", shown() === "dark" ? "light" : "dark") || root.dataset.theme;
    told();
  });
  dark.addEventListener("change", told);
  told();
  document.querySelector(".tools").append(button);
}

theme();
