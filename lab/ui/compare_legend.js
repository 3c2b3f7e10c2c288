// The legend of the Compare page (compare_legend.py): buttons that hide and show. Text goes in as
// text; what is hidden is Python's to say, so that the address and the pictures agree.

const roots = new WeakMap() // parentElement -> root

export default function ({ data, parentElement, setTriggerValue }) {
  let root = roots.get(parentElement)
  if (!root) {
    root = parentElement.appendChild(element("div", "legend"))
    root.setAttribute("role", "group")
    root.setAttribute("aria-label", "Legend: press a method or a seed to hide or show it")
    roots.set(parentElement, root)
  }
  const focused = (parentElement.getRootNode?.() ?? document).activeElement?.dataset?.at
  const ask = (runs, hide) => setTriggerValue("toggled", { runs, hide })
  root.replaceChildren(...data.rows.map((row, at) => item(row, at, ask)))
  if (data.sizes.length) root.appendChild(sizes(data.sizes))
  if (focused) root.querySelector(`[data-at="${focused}"]`)?.focus()
}

function item(row, at, ask) {
  const made = element("div", "item")
  const all = row.runs.map((run) => run.id)
  const shown = row.runs.some((run) => !run.hidden)
  const method = toggle("method", shown, `m${at}`, () => ask(all, shown))
  method.title = `${shown ? "Hide" : "Show"} ${row.name}`
  const line = element("img", "")
  Object.assign(line, { src: row.line, alt: "" })
  method.append(line, text("name", row.name), text("n", row.n))
  made.appendChild(method)
  if (row.runs.length > 1) {
    row.runs.forEach((run, n) => {
      const one = toggle("run", !run.hidden, `m${at}r${n}`, () => ask([run.id], !run.hidden))
      one.textContent = run.name
      one.title = `${run.hidden ? "Show" : "Hide"} ${run.words}`
      one.setAttribute("aria-label", `Seed ${run.name} of ${row.name}`)
      made.appendChild(one)
    })
  }
  return made
}

function sizes(list) {
  const made = element("div", "sizes")
  for (const { name, colour } of list) {
    const one = element("span", "")
    const dot = one.appendChild(element("i", ""))
    dot.style.background = colour
    one.append(name)
    made.appendChild(one)
  }
  return made
}

function toggle(name, pressed, at, press) {
  const made = element("button", name)
  made.type = "button"
  made.dataset.at = at
  made.setAttribute("aria-pressed", String(pressed))
  made.onclick = press
  return made
}

function text(name, words) {
  const made = element("span", name)
  made.textContent = words
  return made
}

function element(tag, name) {
  const made = document.createElement(tag)
  if (name) made.className = name
  return made
}
