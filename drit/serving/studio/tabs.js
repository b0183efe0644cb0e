// Tabs: one panel at a time. Arrow keys move between them.

const tabs = [...document.querySelectorAll("[role=tab]")];
const panelOf = (tab) => document.getElementById(tab.getAttribute("aria-controls"));
const opened = new Map(); // id of a panel -> what to call when it opens

export function whenOpened(panel, act) {
  opened.set(panel, act);
}

export const isOpen = (panel) => !document.getElementById(panel).hidden;

export function open(panel) {
  for (const tab of tabs) {
    const chosen = panelOf(tab).id === panel;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    panelOf(tab).hidden = !chosen;
  }
  opened.get(panel)?.();
}

for (const [i, tab] of tabs.entries()) {
  tab.addEventListener("click", () => open(panelOf(tab).id));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tabs[(i + step + tabs.length) % tabs.length];
    open(panelOf(next).id);
    next.focus();
  });
}
