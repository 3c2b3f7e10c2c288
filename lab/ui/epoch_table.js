// The table of epochs (epoch_table.py). One node for its whole life; all text goes in as text.

const tables = new WeakMap() // parentElement -> frame

export default function ({ data, parentElement }) {
  let frame = tables.get(parentElement)
  if (!frame) {
    frame = parentElement.appendChild(document.createElement("div"))
    frame.className = "frame"
    frame.tabIndex = 0 // scrollable by keyboard
    frame.appendChild(document.createElement("table"))
    tables.set(parentElement, frame)
  }
  frame.style.maxHeight = `${data.height}px`
  const atEnd = frame.scrollTop + frame.clientHeight >= frame.scrollHeight - 4
  frame.firstChild.replaceChildren(head(data.heads), body(data.rows))
  if (atEnd) frame.scrollTop = frame.scrollHeight
}

function head(names) {
  const part = document.createElement("thead")
  const row = part.appendChild(document.createElement("tr"))
  for (const name of names) {
    const cell = row.appendChild(document.createElement("th"))
    cell.scope = "col"
    cell.textContent = name
  }
  return part
}

function body(rows) {
  const part = document.createElement("tbody")
  for (const { cells, colour, ink, open } of rows) {
    const row = part.appendChild(document.createElement("tr"))
    row.style.setProperty("--edge", colour)
    row.style.setProperty("--ink", ink)
    if (open) row.className = "open"
    cells.forEach((text, index) => {
      const cell = row.appendChild(document.createElement("td"))
      if (index !== 2) return void (cell.textContent = text)
      cell.className = "size"
      cell.appendChild(document.createElement("span")).textContent = text
    })
  }
  return part
}
