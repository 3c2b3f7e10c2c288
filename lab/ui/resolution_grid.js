// A table of stages and test sizes (resolution_grid.py). All text goes in as text, never as HTML.

const MOST = 0.62 // so that text stays readable on the fullest colour, in both themes
const LEAST_SCALE = 0.5 // smaller pictures say nothing: then the table scrolls
const tables = new WeakMap() // parentElement -> { root, sizes }

export default function ({ data, parentElement }) {
  const known = tables.get(parentElement)
  const root = known?.root ?? parentElement.appendChild(document.createElement("div"))
  const scroll = element("div")
  scroll.className = "scroll"
  scroll.append(table(data))
  root.replaceChildren(scroll, key(data))
  const fit = () => resize(root, data)
  fit()
  known?.sizes.disconnect()
  const sizes = new ResizeObserver(fit)
  sizes.observe(root)
  tables.set(parentElement, { root, sizes })
  return () => setTimeout(() => { if (!root.isConnected) sizes.disconnect() })
}

function table(data) {
  const made = element("table")
  const head = made.appendChild(element("thead")).appendChild(element("tr"))
  head.appendChild(element("th")).textContent = "Tested at"
  data.columns.forEach((column, index) => {
    const th = head.appendChild(element("th"))
    th.scope = "col"
    if (column.source) th.append(picture(column.source, column.alt, index, column.colour))
    th.append(column.label)
  })
  const body = made.appendChild(element("tbody"))
  data.rows.forEach((row) => body.append(line(row, data)))
  return made
}

function line({ title, words, colour, cells }, data) {
  const made = element("tr")
  const th = made.appendChild(element("th"))
  th.scope = "row"
  th.style.borderLeftColor = colour
  th.append(title)
  th.appendChild(element("small")).textContent = words
  cells.forEach((cell, index) => made.append(box(cell, index, colour, data)))
  return made
}

function box(cell, index, colour, { tone }) {
  const td = element("td")
  td.title = cell.words
  if (cell.own) {
    td.className = "own"
    td.style.borderColor = colour
  }
  if (!cell.answer) {
    td.classList.add("none")
    td.textContent = cell.note
    return td
  }
  td.style.background = mix(tone, cell.share)
  if (cell.source) td.append(picture(cell.source, cell.words, index))
  td.appendChild(element("b")).textContent = `${cell.mark} ${cell.answer}`
  td.appendChild(element("small")).textContent = `truth ${cell.shown}`
  if (cell.note) td.appendChild(element("small")).textContent = cell.note
  return td
}

function picture(source, alt, column, colour) {
  const image = element("img")
  Object.assign(image, { src: source, alt })
  image.dataset.column = column
  if (colour) image.style.borderColor = colour
  return image
}

function key({ truth, tone }) {
  const made = element("div")
  made.className = "key"
  const bar = element("span")
  bar.className = "bar"
  bar.style.background = `linear-gradient(90deg, ${mix(tone, 0)}, ${mix(tone, 1)})`
  made.append("Probability of the truth, ", strong(truth), ": 0 %", bar,
    "100 %. A thick edge: the size that the stage was trained at.")
  return made
}

function strong(text) {
  const made = element("b")
  made.textContent = text
  return made
}

function mix(tone, share) {
  return `color-mix(in srgb, ${tone} ${(100 * MOST * share).toFixed(1)}%, transparent)`
}

// One factor for all pictures, so that a smaller one looks smaller.
function resize(root, { columns }) {
  const room = root.clientWidth - 110 - 30 * columns.length
  const all = columns.reduce((sum, column) => sum + column.width, 0)
  const factor = Math.min(1, Math.max(LEAST_SCALE, room / all))
  root.querySelectorAll("img").forEach((image) => {
    const { width, height } = columns[Number(image.dataset.column)]
    image.style.width = `${width * factor}px`
    image.style.height = `${height * factor}px`
  })
}

function element(name) {
  return document.createElement(name)
}
