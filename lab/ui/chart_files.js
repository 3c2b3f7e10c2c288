// Buttons that save a chart of this page as a picture (chart_files.py, live_chart.js).

const boxes = new WeakMap() // parentElement -> the box of buttons

export default function ({ data, parentElement }) {
  let box = boxes.get(parentElement)
  if (!box) {
    box = parentElement.appendChild(document.createElement("div"))
    box.className = "files"
    boxes.set(parentElement, box)
  }
  const buttons = data.formats.map((format) => button(format, data, box))
  box.replaceChildren(...buttons)
}

function button(format, data, box) {
  const made = document.createElement("button")
  made.type = "button"
  made.textContent = format
  made.title = `Save this chart as ${format}`
  made.onclick = async () => {
    const root = [...document.querySelectorAll(".lab-chart")].find(
      (chart) => chart.dataset.key === data.chart)
    made.disabled = true
    try {
      if (!root) throw new Error("no chart")
      const kind = format.toLowerCase()
      save(await root.labChart.picture(kind, data.title), `${data.name}.${kind}`)
    } catch {
      const note = document.createElement("span")
      note.textContent = "not saved: reload the page"
      box.appendChild(note)
      setTimeout(() => note.remove(), 4000)
    }
    made.disabled = false
  }
  return made
}

function save(address, name) {
  const link = document.createElement("a")
  link.href = address
  link.download = name
  document.body.appendChild(link)
  link.click()
  link.remove()
}
