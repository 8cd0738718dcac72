"""The answer form of a Visual Turing Test: one page without anything from outside, which knows the files and no answer."""

import html
import json
from collections.abc import Sequence

KINDS = ("real", "synthetic")

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Visual Turing Test</title>
<style>
  body { font: 16px/1.45 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
  h1 { font-size: 1.25rem; }
  img { width: 320px; height: 320px; background: #000; display: block; margin: 1rem 0; }
  fieldset { border: 1px solid #b8b8b8; margin: 0 0 1rem; padding: 0.5rem 1rem; }
  label { margin-right: 1.2rem; white-space: nowrap; }
  button { font: inherit; padding: 0.3rem 0.9rem; margin-right: 0.5rem; }
  .muted { color: #5c5c5c; }
</style>
</head>
<body>
<h1>Visual Turing Test</h1>
<p>__TITLE__</p>
<p class="muted">Half of the images are real, half synthetic. Answer both questions for each. Answers stay in this browser
until you save them as a file.</p>
<p><label>Reader <input id="reader" autocomplete="off"></label> <span id="place"></span></p>
<img id="image" alt="the image to be judged">
<fieldset id="category"><legend>Which category?</legend></fieldset>
<fieldset id="kind"><legend>Real or synthetic?</legend></fieldset>
<p><button id="back">Back</button><button id="next">Next</button><button id="save">Save answers (CSV)</button></p>
<p id="missing" class="muted"></p>
<script>
const files = __FILES__;
const questions = __QUESTIONS__;
const store = "visual turing test " + files.join(" ");
let answers = {};
try { answers = JSON.parse(localStorage.getItem(store) || "{}"); } catch (error) { answers = {}; }
let place = 0;
const find = (id) => document.getElementById(id);
const answered = () => files.filter((file) => Object.keys(questions).every((name) => (answers[file] || {})[name])).length;
const quoted = (text) => '"' + String(text).replaceAll('"', '""') + '"';

function keep(name, value) {
  answers[files[place]] = { ...answers[files[place]], [name]: value };
  try { localStorage.setItem(store, JSON.stringify(answers)); } catch (error) { /* a private window: kept until it closes */ }
  count();
}

function count() {
  find("missing").textContent = answered() + " of " + files.length + " answered";
}

function show() {
  const file = files[place];
  find("image").src = file;
  find("place").textContent = "image " + (place + 1) + " of " + files.length;
  for (const [name, options] of Object.entries(questions)) {
    for (const option of options) {
      find(name + "." + option).checked = (answers[file] || {})[name] === option;
    }
  }
  find("back").disabled = place === 0;
  find("next").disabled = place === files.length - 1;
  count();
}

for (const [name, options] of Object.entries(questions)) {
  for (const option of options) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: name, id: name + "." + option, onchange: () => keep(name, option) });
    label.append(input, " " + option.replaceAll("_", " "));
    find(name).append(label);
  }
}
find("back").onclick = () => { place -= 1; show(); };
find("next").onclick = () => { place += 1; show(); };
find("save").onclick = () => {
  const reader = find("reader").value;
  const lines = [["reader", "file", ...Object.keys(questions)].join(",")];
  for (const file of files) {
    const given = Object.keys(questions).map((name) => (answers[file] || {})[name] || "");
    lines.push([reader, file, ...given].map(quoted).join(","));
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\\n") + "\\n"], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  URL.revokeObjectURL(link.href);
};
show();
</script>
</body>
</html>
"""


def answer_form(title: str, categories: Sequence[str], files: Sequence[str]) -> str:
    """The page that shows the images one by one and asks two questions of each; the browser saves the answers as CSV.

    Args:
        title: a line about the study.
        categories: answers to the first question.
        files: names of the images in the order in which they are shown, beside the page.
    """
    questions = {"category": list(categories), "kind": list(KINDS)}
    parts = {"__TITLE__": html.escape(title), "__FILES__": json.dumps(list(files)), "__QUESTIONS__": json.dumps(questions)}
    page = PAGE
    for name, text in parts.items():
        page = page.replace(name, text)
    return page
