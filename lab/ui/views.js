// Every look at one picture, and the average as it grows (views.py). Text goes in as text only.

const pages = new WeakMap() // parentElement -> { root, at, stamp }

export default function ({ data, parentElement }) {
  const known = pages.get(parentElement)
  const root = known?.root ?? parentElement.appendChild(element("div", "views"))
  const stamp = JSON.stringify(data.running)
  // The scrubber stays where it is while pictures arrive; another picture starts at the end.
  const at = known?.stamp === stamp ? known.at : data.looks.length - 1
  const page = { root, at, stamp }
  pages.set(parentElement, page)
  draw(page, data)
}

function draw(page, data) {
  const { looks, running } = data
  const sum = element("div", "sum")
  const cards = element("div", "cards")
  cards.append(...looks.map((look) => card(look, data)))
  const parts = [sum, cards]
  if (looks.length > 1) {
    const left = element("div", "")
    const label = left.appendChild(element("label", "label"))
    label.append("The average, look by look")
    const count = label.appendChild(element("span", ""))
    const range = left.appendChild(document.createElement("input"))
    Object.assign(range, { type: "range", min: 0, max: looks.length - 1, step: 1, value: page.at })
    range.setAttribute("aria-label", "How many views are averaged")
    const said = left.appendChild(element("p", "said"))
    said.setAttribute("aria-live", "polite")
    const bars = left.appendChild(element("div", ""))
    left.append(key(data))
    const { svg, move } = lines(data)
    const right = element("div", "")
    right.append(svg)
    sum.append(left, right)
    const show = () => {
      page.at = Number(range.value)
      count.textContent = page.at ? `plain + ${page.at} of ${looks.length - 1} views` : "plain only"
      range.setAttribute("aria-valuetext", count.textContent)
      said.replaceChildren(...sentence(data, page.at))
      bars.replaceChildren(...rows(running[page.at], data, looks[0].probs))
      move(page.at)
      cards.querySelectorAll(".card").forEach((box, index) => {
        box.classList.toggle("later", index > page.at)
      })
    }
    range.oninput = show
    show()
  } else {
    sum.remove()
    parts.shift()
  }
  page.root.replaceChildren(...parts)
}

function sentence({ answers, names, truth, running }, at) {
  const answer = answers[at]
  const right = answer === names[truth]
  const strong = element("b", "")
  strong.textContent = answer
  const p = running[at][names.indexOf(answer)]
  return ["The answer is now ", strong, ` (${percent(p)}): ${right ? "right" : "wrong"}.`]
}

function card({ title, source, probs, answer }, data) {
  const { names, truth, size: [height, width], colour } = data
  const box = element("div", "card")
  const head = box.appendChild(document.createElement("h4"))
  head.append(title)
  const right = answer === names[truth]
  head.appendChild(document.createElement("small")).textContent =
    `says ${answer}: ${right ? "right" : "wrong"}`
  const picture = box.appendChild(document.createElement(source ? "img" : "div"))
  if (source) Object.assign(picture, { src: source, alt: `${title}, ${height} by ${width} pixels` })
  else {
    picture.className = "none"
    picture.textContent = "no picture"
    picture.style.height = `${height}px`
  }
  picture.style.borderColor = colour
  picture.style.width = `${width}px`
  box.append(...rows(probs, data))
  return box
}

// One row a class, always in the same order; `before`: a tick at the plain picture's share.
function rows(probs, { names, truth, rest, tones }, before) {
  const top = probs.indexOf(Math.max(...probs))
  const made = names.map((name, index) => {
    const tone = index === truth ? tones.good : index === top ? tones.bad : tones.other
    const text = index === truth ? `${name} (true)` : name
    return bar(text, probs[index], tone, index === top, before?.[index])
  })
  const left = Math.max(0, 1 - probs.reduce((sum, p) => sum + p, 0))
  if (rest > 0) made.push(bar(`${rest} others`, left, tones.other, false))
  return made
}

function bar(name, share, tone, top, before) {
  const box = element("div", `bar${top ? " top" : ""}`)
  const label = box.appendChild(element("span", "name"))
  label.textContent = label.title = name
  const track = box.appendChild(element("span", "track"))
  const fill = track.appendChild(element("span", "fill"))
  Object.assign(fill.style, { width: `${100 * share}%`, background: tone })
  if (before !== undefined) {
    track.appendChild(element("span", "tick")).style.left = `${100 * before}%`
  }
  box.appendChild(element("span", "value")).textContent = percent(share)
  return box
}

function key({ tones }) {
  const box = element("div", "key")
  const entry = (kind, colour, text) => {
    const item = box.appendChild(element("span", ""))
    const mark = item.appendChild(element("i", kind))
    if (colour) mark.style.background = colour
    item.append(text)
  }
  entry("box", tones.good, "true class")
  entry("box", tones.bad, "answer, where it is wrong")
  entry("line", "", "plain picture alone")
  return box
}

// The shares over the looks: the true class thick, its strongest rival dashed, the rest thin.
function lines({ running, names, truth, tones }) {
  const [width, height, left, right, top, bottom] = [360, 200, 34, 8, 20, 34]
  const last = running.length - 1
  const x = (index) => left + ((width - left - right) * index) / last
  const y = (share) => top + (height - top - bottom) * (1 - share)
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" })
  const best = (index) => Math.max(...running.map((row) => row[index]))
  const rival = names.map((_, i) => i).filter((i) => i !== truth).sort((a, b) => best(b) - best(a))[0]
  svg.setAttribute("aria-label", `Share of ${names[truth]} from ${percent(running[0][truth])} ` +
    `with the plain picture to ${percent(running[last][truth])} with all views`)
  const write = (text, place) => svg.appendChild(shape("text", place)).append(text)
  for (const share of [0, 0.5, 1]) {
    svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(share), y2: y(share) }))
    write(`${100 * share} %`, { x: left - 6, y: y(share) + 4, "text-anchor": "end" })
  }
  names.forEach((_, i) => {
    const colour = i === truth ? tones.good : i === rival ? tones.bad : tones.other
    const d = running.map((row, step) => `${step ? "L" : "M"}${x(step)} ${y(row[i])}`).join("")
    const wide = i === truth ? 3 : i === rival ? 2 : 1
    svg.append(shape("path", { d, stroke: colour, "stroke-width": wide,
      "stroke-dasharray": i === rival ? "6 4" : "none", opacity: wide === 1 ? 0.5 : 1 }))
  })
  const every = last > 12 ? Math.ceil(last / 8) : 1
  for (let step = 0; step <= last; step += every) {
    write(step ? String(step) : "plain", { x: x(step), y: height - 18, "text-anchor": "middle" })
  }
  write("views averaged", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" })
  write(`${shortened(names[truth])} (true), thick`, { x: left, y: 11 })
  if (rival !== undefined) {
    write(`${shortened(names[rival])}, dashed`, { x: width - right, y: 11, "text-anchor": "end" })
  }
  const now = svg.appendChild(shape("line", { class: "now", y1: top, y2: height - bottom }))
  const move = (at) => { now.setAttribute("x1", x(at)); now.setAttribute("x2", x(at)) }
  return { svg, move }
}

function shortened(name) {
  return name.length > 20 ? `${name.slice(0, 19)}…` : name
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  return made
}

function percent(share) {
  return `${(100 * share).toFixed(1)}\u202f%`
}

function element(tag, name) {
  const made = document.createElement(tag)
  made.className = name
  return made
}
