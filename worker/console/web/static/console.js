// Keys for those who review all day. Everything they do can be done without them, and they can be turned off.
"use strict";
(() => {
  const OFF = "proguard-keys-off";
  const off = () => { try { return localStorage.getItem(OFF) === "1"; } catch { return false; } };
  const items = () => [...document.querySelectorAll("[data-item]")].filter((each) => each.offsetParent !== null);

  const step = (by) => {
    const all = items();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = all[Math.min(Math.max(at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by, 0), all.length - 1)];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  };

  let went = 0;
  const PLACES = { o: "/", r: "/review", c: "/clusters", p: "/review/post" };
  document.addEventListener("keydown", (event) => {
    if (off() || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { document.activeElement.blur(); return; }
    if (event.target.closest("input, select, textarea")) return;
    if (Date.now() - went < 1500 && PLACES[event.key]) { went = 0; location.assign(PLACES[event.key]); return; }
    if (event.key === "g") { went = Date.now(); return; }
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") { event.preventDefault(); location.assign("/search"); }
    else {
      const key = CSS.escape(event.key);
      const field = document.querySelector(`[data-focus="${key}"]`);
      const button = document.querySelector(`[data-key="${key}"]`);
      if (field) { event.preventDefault(); field.focus(); if (field.select) field.select(); }
      else if (button) { event.preventDefault(); button.click(); }
    }
  });

  // The overview renews itself by the minute, but not under the hands of who is reading in it.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const renewed = event.detail.elt;
    if (renewed.id !== "overview") return;
    if (renewed.contains(document.activeElement) || renewed.querySelector("details[open]")) event.preventDefault();
  });

  const keysSwitch = document.getElementById("keys-switch");
  if (keysSwitch) {
    const say = () => { keysSwitch.textContent = off() ? "Turn keys on" : "Turn keys off"; };
    keysSwitch.hidden = false;
    say();
    keysSwitch.addEventListener("click", () => {
      try { off() ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1"); } catch { /* no storage: keys stay on */ }
      say();
    });
  }
})();
