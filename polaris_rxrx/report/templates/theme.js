"use strict";
(() => {
  // ---- colors: what the system asks for, until somebody chooses; the choice is not kept ------------------
  const theme = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = dark() ? "Light colors" : "Dark colors"; };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  label();

  for (const element of document.querySelectorAll(".scripted, .tools")) element.hidden = false;
  for (const element of document.querySelectorAll(".unscripted")) element.hidden = true;
})();
