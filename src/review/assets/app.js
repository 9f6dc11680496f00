// What pages do better with a script; all of it works without.
"use strict";

// A filter is applied when a choice is made.
for (const form of document.querySelectorAll("form[data-filter]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select")) form.requestSubmit();
  });
}

// Nobody erases or signs by a slip of the hand.
for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

// How many of a sample have been judged.
for (const form of document.querySelectorAll("form[data-progress]")) {
  const shown = form.querySelector("[data-progress-shown]");
  const groups = new Set(Array.from(form.querySelectorAll("input[type=radio][data-mark]"), (input) => input.name));
  const count = () => {
    const judged = Array.from(groups).filter((name) => form.querySelector(`input[name="${name}"]:checked`)).length;
    shown.textContent = form.dataset.progress.replace("{}", judged).replace("{}", groups.size);
  };
  form.addEventListener("change", count);
  count();
}

// A scanner ends with Enter: the reason comes next when it has not been chosen.
for (const field of document.querySelectorAll("input[data-scan]")) {
  field.addEventListener("keydown", (event) => {
    const reason = field.form.querySelector("select[required]");
    if (event.key === "Enter" && reason && !reason.value) {
      event.preventDefault();
      reason.focus();
    }
  });
}
