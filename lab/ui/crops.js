// Pictures at true relative size (crops.py). All text goes in as text, never as HTML.

const BORDER = 4
const rows = new WeakMap() // parentElement -> { row, sizes }

export default function ({ data, parentElement }) {
  const known = rows.get(parentElement)
  const row = known?.row ?? parentElement.appendChild(document.createElement("div"))
  row.className = "row"
  row.replaceChildren(...data.items.map(figure))
  const fit = () => resize(row, data)
  fit()
  known?.sizes.disconnect()
  const sizes = new ResizeObserver(fit)
  sizes.observe(row)
  rows.set(parentElement, { row, sizes })
  return () => setTimeout(() => { if (!row.isConnected) sizes.disconnect() })
}

function figure({ source, alt, caption, colour }) {
  const box = document.createElement("figure")
  const image = box.appendChild(document.createElement("img"))
  Object.assign(image, { src: source, alt })
  if (colour) image.style.border = `${BORDER}px solid ${colour}`
  if (caption) box.appendChild(document.createElement("figcaption")).textContent = caption
  return box
}

// One factor for all pictures, smaller only where the widest alone would not fit.
function resize(row, { items, scale }) {
  const widest = Math.max(...items.map((item) => item.width)) * scale
  const room = row.clientWidth - 2 * BORDER
  const factor = room > 0 && widest > room ? (scale * room) / widest : scale
  row.querySelectorAll("figure").forEach((box, index) => {
    const image = box.firstChild
    image.style.width = `${items[index].width * factor}px`
    image.style.height = `${items[index].height * factor}px`
    image.classList.toggle("large", factor > 1)
    box.style.maxWidth = `${Math.max(items[index].width * factor + 2 * BORDER, 96)}px`
  })
}
