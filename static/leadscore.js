/* Theme, menus, and words for screen readers. Everything works without it; htmx does the rest. */
(function () {
  "use strict";

  // -- theme: before the first paint, so that nothing flashes
  var root = document.documentElement;
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function chosen() {
    try { return localStorage.getItem("leadscore-theme") || "auto"; } catch (error) { return "auto"; }
  }
  function paint() {
    var theme = chosen();
    root.setAttribute("data-bs-theme", theme === "auto" ? (dark.matches ? "dark" : "light") : theme);
    document.querySelectorAll("[data-theme-choice]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme));
    });
  }
  root.classList.add("has-js");
  paint();
  dark.addEventListener("change", paint);
  document.addEventListener("DOMContentLoaded", paint);
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-theme-choice]");
    if (!button) return;
    try { localStorage.setItem("leadscore-theme", button.dataset.themeChoice); } catch (error) { /* not kept */ }
    paint();
  });

  // -- menus are <details>: one open at a time, closed by Escape or a click elsewhere
  function closeMenus(except) {
    document.querySelectorAll("details.menu[open]").forEach(function (menu) {
      if (menu !== except && !(except && menu.contains(except))) menu.removeAttribute("open");
    });
  }
  document.addEventListener("click", function (event) { closeMenus(event.target.closest("details.menu")); });
  document.addEventListener("keydown", function (event) {
    var menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (menu) {
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
    }
  });

  // -- on a phone the filters unfold
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-opens]");
    if (!button) return;
    var open = document.getElementById(button.dataset.opens).classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });

  // -- the list inside a menu narrows as one types
  document.addEventListener("input", function (event) {
    var list = event.target.dataset.narrows && document.getElementById(event.target.dataset.narrows);
    if (!list) return;
    var wanted = event.target.value.trim().toLowerCase();
    list.querySelectorAll("label").forEach(function (label) {
      label.hidden = label.textContent.toLowerCase().indexOf(wanted) < 0;
    });
  });

  // Narrowing is no filter: the form must not hear of it.
  document.addEventListener("change", function (event) {
    if (event.target.dataset.narrows) return event.stopPropagation();
    var pick = event.target.closest("details.pick");
    if (!pick) return;
    var count = pick.querySelectorAll("input:checked").length;
    pick.querySelector("summary").textContent = count ? count + " chosen" : pick.dataset.none || "Any";
  }, true);

  // -- leaving a filter for a link of the results: the link carries what was typed, so the form stays still, else its
  // answer would swap the link away between press and release
  var pressed = null;
  var held = null;
  document.addEventListener("mousedown", function (event) {
    pressed = event.button === 0 ? event.target.closest("#lead-results a") : null;
    held = null;
  }, true);
  document.addEventListener("change", function (event) {
    if (!pressed || !event.target.closest("#lead-filters")) return;
    held = event.target;
    event.stopPropagation();
  }, true);
  function release(event) {
    var followed = event.type === "mouseup" && pressed && pressed.contains(event.target);
    var field = held;
    pressed = held = null;
    if (field && !followed) field.dispatchEvent(new Event("change", { bubbles: true }));
  }
  document.addEventListener("mouseup", release, true);
  document.addEventListener("dragend", release, true);

  // -- leaving a search box whose results stand already asks for nothing: a second answer would only take the ticks away
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id === "lead-results") event.detail.target.dataset.shows = event.detail.pathInfo.finalRequestPath;
  });
  document.addEventListener("htmx:beforeRequest", function (event) {
    var trigger = event.detail.requestConfig.triggeringEvent;
    if (!trigger || trigger.type !== "change" || !event.target.matches("#lead-filters")) return;
    if (event.detail.target.dataset.shows === event.detail.pathInfo.finalRequestPath) event.preventDefault();
  });

  // -- a table with ticks: typing into a row ticks it, and only ticked rows are sent, so that addresses stay short
  document.addEventListener("input", function (event) {
    var tick = event.target.dataset.ticks && document.getElementById(event.target.dataset.ticks);
    if (tick) tick.checked = true;
  }, true);
  document.addEventListener("htmx:configRequest", function (event) {
    if (!event.target.closest("[data-ticked-only]")) return;
    event.target.closest("form").querySelectorAll("tr:has(input[name=tag]:not(:checked))").forEach(function (row) {
      row.querySelectorAll("[name]:not([name=tag])").forEach(function (box) { delete event.detail.parameters[box.name]; });
    });
  });

  // -- a selection of leads: its bar shows by CSS alone; here a whole page is taken at once, and counted
  function showPicked() {
    var pickPage = document.getElementById("pick-page");
    var picked = document.getElementById("picked");
    if (!pickPage || !picked) return;
    var all = document.getElementById("pick-all");
    var boxes = document.querySelectorAll("#lead-results input[name=lead]");
    var count = document.querySelectorAll("#lead-results input[name=lead]:checked").length;
    pickPage.closest("label").hidden = false;
    pickPage.checked = count === boxes.length;
    pickPage.indeterminate = count > 0 && count < boxes.length;
    picked.textContent = (all && all.checked ? all.dataset.count : count) + " selected";
  }
  document.addEventListener("change", function (event) {
    var box = event.target, all = document.getElementById("pick-all");
    if (box.id === "pick-page" || (box.id === "pick-all" && box.checked)) {
      document.querySelectorAll("#lead-results input[name=lead]").forEach(function (one) { one.checked = box.checked; });
    }
    if (all && !box.checked && (box.id === "pick-page" || box.name === "lead")) all.checked = false;
    if (box.id !== "pick-page" && box.id !== "pick-all" && box.name !== "lead") return;
    showPicked();
    announce(document.getElementById("picked").textContent);
  });
  document.addEventListener("reset", function () { window.setTimeout(showPicked); });
  document.addEventListener("DOMContentLoaded", showPicked);
  document.addEventListener("htmx:afterSettle", showPicked);

  // -- a map is one stop of the tab key; the arrow keys go to the nearest place in their direction
  var turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function middle(element) {
    var box = element.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }
  function enterMaps() {
    document.querySelectorAll("svg[data-map]").forEach(function (map) {
      var first = map.querySelector("[data-spot]");
      if (first && !map.querySelector('[data-spot][tabindex="0"]')) first.setAttribute("tabindex", "0");
    });
  }
  document.addEventListener("DOMContentLoaded", enterMaps);
  document.addEventListener("htmx:afterSettle", enterMaps);
  document.addEventListener("keydown", function (event) {
    var spot = event.target.closest && event.target.closest("svg[data-map] [data-spot]");
    var turn = spot && !event.altKey && !event.ctrlKey && !event.metaKey && turns[event.key];
    if (!turn) return;
    event.preventDefault();
    var from = middle(spot), best = null, least = Infinity;
    spot.closest("svg").querySelectorAll("[data-spot]").forEach(function (other) {
      if (other === spot) return;
      var to = middle(other), x = to[0] - from[0], y = to[1] - from[1];
      var ahead = x * turn[0] + y * turn[1], aside = Math.abs(x * turn[1]) + Math.abs(y * turn[0]);
      if (ahead <= 0.01 || aside > 2 * ahead) return;
      if (ahead + 2 * aside < least) { least = ahead + 2 * aside; best = other; }
    });
    if (!best) return;
    spot.setAttribute("tabindex", "-1");
    best.setAttribute("tabindex", "0");
    best.focus();
  });
  // what a place is stands below the map too, for there is no hovering with keys or fingers
  function tell(event) {
    var told = document.getElementById("map-told");
    if (!told || !event.target.closest) return;
    var link = event.target.closest("svg[data-map] a");
    if (link) told.textContent = link.querySelector("title").textContent;
    else if (event.type === "mouseover" && !document.querySelector("svg[data-map] a:focus")) told.textContent = told.dataset.hint;
  }
  document.addEventListener("focusin", tell);
  document.addEventListener("mouseover", tell);

  // -- a form that takes a while says so, and is sent once
  document.addEventListener("submit", function (event) {
    var busy = event.target.querySelector("[data-busy]");
    if (!busy || event.defaultPrevented) return;
    window.setTimeout(function () {
      busy.setAttribute("aria-disabled", "true");
      busy.classList.add("disabled");
      busy.textContent = busy.dataset.busy;
    });
  });
  window.addEventListener("pageshow", function (event) { if (event.persisted) window.location.reload(); });

  // -- a page that is made for paper
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-print]")) window.print();
  });

  // -- announcements: a swap that says something new is read out once
  var said = "";
  function announce(text) {
    var voice = document.getElementById("announcer");
    if (voice && text && text !== said) voice.textContent = said = text;
  }
  document.addEventListener("htmx:afterSettle", function (event) {
    var element = event.target.querySelector && event.target.querySelector("[data-announce]");
    if (element) announce(element.dataset.announce);
    document.querySelectorAll("[data-error-of]").forEach(function (note) {
      var input = document.getElementById(note.dataset.errorOf);
      if (!input) return;
      var wrong = note.textContent.trim() !== "";
      input.classList.toggle("is-invalid", wrong);
      input.setAttribute("aria-invalid", String(wrong));
    });
  });

  // -- what went wrong behind a swap is said, never swallowed
  function complain(text) {
    var note = document.getElementById("swap-problem");
    if (!note) return;
    note.querySelector("span").textContent = text;
    note.hidden = false;
  }
  document.addEventListener("htmx:responseError", function (event) {
    var status = event.detail.xhr.status;
    complain(
      status === 403 ? "Your role does not include this, or this page has grown too old: reload it."
        : status === 404 ? "This is not there any more. Reload the page."
          : "The server could not do this. What you typed is still here; try again in a moment.");
  });
  document.addEventListener("htmx:sendError", function () {
    complain("The server does not answer. What is shown may be out of date.");
  });
  document.addEventListener("htmx:beforeSwap", function (event) {
    // A session that ended answers with the login page: go there instead of showing it inside this one.
    if (event.detail.xhr.responseURL && new URL(event.detail.xhr.responseURL).pathname === "/login/") {
      event.detail.shouldSwap = false;
      window.location.reload();
    } else {
      var note = document.getElementById("swap-problem");
      if (note && event.detail.xhr.status < 400) note.hidden = true;
    }
  });
})();
