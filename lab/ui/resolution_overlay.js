// Frames of training and test on a picture (resolution_overlay.py). Text goes in as text only.

const SPACE = "http://www.w3.org/2000/svg"
const roots = new WeakMap() // parentElement -> element

export default function ({ data, parentElement }) {
  const root = roots.get(parentElement) ?? parentElement.appendChild(document.createElement("div"))
  roots.set(parentElement, root)
  root.className = "all"
  const key = document.createElement("div")
  key.className = "key"
  key.textContent = "White, dashed: what the test shows. Coloured: what training shows, in " +
    `${data.items[0]?.train.length ?? 0} random draws. Below: how much larger things look in ` +
    "each draw than at test (1)."
  const room = margins(data)
  root.replaceChildren(...data.items.map((item) => figure(item, { ...data, room })), key)
}

// How far frames lie beyond the picture, as shares of its sides: alike for all stages.
function margins({ items }) {
  const far = items.flatMap(({ test, train }) => [test, ...train].flat())
  return [0, 1].map((axis) =>
    Math.min(Math.max(0, ...far.map((point) => Math.max(-point[axis], point[axis] - 1))), 0.4))
}

function figure(item, data) {
  const box = document.createElement("figure")
  box.append(frames(item, data))
  const words = box.appendChild(document.createElement("figcaption"))
  const title = words.appendChild(document.createElement("b"))
  title.appendChild(document.createElement("i")).style.background = item.colour
  title.append(` ${item.title}`)
  words.append(item.words)
  box.append(strip(item))
  return box
}

function frames({ title, colour, test, train, words }, { source, aspect, room }) {
  const [width, height] = aspect >= 1 ? [300, 300 / aspect] : [300 * aspect, 300]
  const at = (corners) => corners.map(([x, y]) => `${x * width},${y * height}`).join(" ")
  const [dx, dy] = [room[0] * width + 3, room[1] * height + 3]
  const view = `${-dx} ${-dy} ${width + 2 * dx} ${height + 2 * dy}`
  const svg = shape("svg", { viewBox: view, class: "frames", role: "img" })
  svg.setAttribute("aria-label", `${title}: frames of training and test on the picture. ${words}`)
  svg.append(
    shape("image", { href: source, width, height, preserveAspectRatio: "none" }),
    shape("rect", { width, height, fill: "#000", "fill-opacity": 0.15 }),
    ...train.map((quad) => shape("polygon", {
      points: at(quad), fill: "none", stroke: colour, "stroke-opacity": 0.8, "stroke-width": 1.2,
    })),
    shape("polygon", { points: at(test), fill: "none", stroke: "#000", "stroke-width": 4,
      "stroke-opacity": 0.6 }),
    shape("polygon", { points: at(test), fill: "none", stroke: "#fff", "stroke-width": 2,
      "stroke-dasharray": "7 4" }),
  )
  return svg
}

// One tick a draw on a scale of 1/2 to 4 times, by logarithm.
function strip({ larger, colour }) {
  const [width, low, high] = [300, 0.5, 4]
  const x = (value) => {
    const inside = Math.min(Math.max(value, low), high)
    return 8 + (width - 16) * Math.log(inside / low) / Math.log(high / low)
  }
  const svg = shape("svg", { viewBox: `0 0 ${width} 34`, role: "img" })
  const ends = [Math.min(...larger), Math.max(...larger)].map((value) => value.toFixed(2))
  svg.setAttribute("aria-label", `Things look ${ends[0]} to ${ends[1]} times as large as at test`)
  svg.append(shape("line", { x1: 0, x2: width, y1: 20, y2: 20, class: "axis" }))
  larger.forEach((value) => svg.append(shape("line", {
    x1: x(value), x2: x(value), y1: 5, y2: 19, stroke: colour, "stroke-opacity": 0.6,
    "stroke-width": 1.5,
  })))
  svg.append(shape("line", { x1: x(1), x2: x(1), y1: 1, y2: 22, class: "test" }))
  for (const value of [0.5, 1, 2, 4]) {
    const label = shape("text", { x: x(value), y: 32, "text-anchor": value === 0.5 ? "start"
      : value === 4 ? "end" : "middle" })
    label.textContent = `${value}×`
    svg.append(label)
  }
  return svg
}

function shape(name, attributes) {
  const made = document.createElementNS(SPACE, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}
