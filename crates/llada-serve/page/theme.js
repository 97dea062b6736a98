/** The theme, which is known before the page is drawn. A classic script, so that nothing is drawn in another theme before. */

(function () {
  const root = document.documentElement;
  const next = { auto: "light", light: "dark", dark: "auto" };
  let theme = localStorage.getItem("llada.theme");
  if (!(theme in next)) theme = "auto";
  root.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    const show = function () {
      const names = { auto: "as the system", light: "light", dark: "dark" };
      button.setAttribute("aria-label", `Theme: ${names[theme]}`);
      button.title = button.getAttribute("aria-label");
    };
    button.addEventListener("click", function () {
      theme = next[theme];
      root.dataset.theme = theme;
      localStorage.setItem("llada.theme", theme);
      show();
    });
    show();
  });
})();
