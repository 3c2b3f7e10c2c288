// A Plotly chart for Streamlit: one node for its whole life, redrawn in place (live_chart.py).
// Streamlit calls the default export at first, and again whenever data or theme change.

const charts = new WeakMap() // parentElement -> Chart
const TOUCH = window.matchMedia("(pointer: coarse)").matches

export default function ({ data, parentElement, setTriggerValue }) {
  let chart = charts.get(parentElement)
  if (!chart) {
    chart = new Chart(parentElement)
    charts.set(parentElement, chart)
  }
  chart.update(data, setTriggerValue)
  // Streamlit also calls the clean-up of a run that a newer run overtook: only a chart that has
  // really left the page is taken down.
  return () => setTimeout(() => { if (!parentElement.isConnected) chart.remove() })
}

// One script for all charts of a page. Relative to the page's own address, as Streamlit's files
// are, so that it works behind a proxy with a prefix.
function loadPlotly(path) {
  window.__labPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = new URL(path, document.baseURI).href
    script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject())
    script.onerror = reject
    document.head.appendChild(script)
  }).catch((error) => {
    window.__labPlotly = undefined // the next draw tries again
    throw error ?? new Error("Plotly.js did not load")
  })
  return window.__labPlotly
}

class Chart {
  constructor(parent) {
    this.parent = parent
    this.root = parent.appendChild(element("div", "lab-chart"))
    this.root.labChart = this // chart_files.js finds it here
    this.plot = this.root.appendChild(element("div", "lab-chart-plot"))
    this.reset = this.root.appendChild(element("button", "lab-chart-reset"))
    Object.assign(this.reset, { type: "button", textContent: "Show all", hidden: true })
    this.reset.onclick = () => this.showAll()
    this.views = 0 // part of uirevision: one more gives up the reader's zoom
    this.width = 0
    this.held = false
    this.sizes = new ResizeObserver(() => this.resized())
    this.sizes.observe(this.root)
    this.plot.addEventListener("pointerdown", () => { this.held = true })
    this.release = () => {
      if (!this.held) return
      this.held = false
      setTimeout(() => this.draw()) // Plotly finishes its drag first
    }
    window.addEventListener("pointerup", this.release)
    window.addEventListener("pointercancel", this.release)
    this.plot.addEventListener("mousemove", (event) => {
      this.mouse = event
      if (!event.buttons) this.release() // the button went up outside the window
    })
    this.plot.addEventListener("mouseleave", () => { this.mouse = undefined })
  }

  update(data, send) {
    Object.assign(this, { data, send })
    this.root.dataset.key = data.key
    this.plot.style.minHeight = `${data.height}px` // room from the start: nothing below jumps
    this.plot.setAttribute("role", "img")
    this.plot.setAttribute("aria-label", data.alt)
    this.plot.classList.toggle("lab-chart-clickable", data.clickable)
    return this.draw()
  }

  resized() {
    const width = Math.floor(this.root.clientWidth)
    if (width !== this.width) this.draw()
  }

  async draw() {
    let Plotly
    try {
      Plotly = await loadPlotly(this.data.script)
    } catch {
      this.note("This chart could not load its script. Reload the page. If that does not help, " +
        "stop the lab and start it again with: streamlit run app.py")
      return
    }
    this.width = Math.floor(this.root.clientWidth)
    // A hidden tab has no width yet (the observer calls again); a drag is not to be torn apart.
    if (!this.width || this.held || this.removed || !this.parent.isConnected) return
    this.message?.remove()
    this.message = undefined
    this.plot.style.height = `${this.height()}px`
    const { data, layout } = this.data.figure
    // A copy: Plotly writes into what it is given.
    await Plotly.react(this.plot, structuredClone(data), this.themed(structuredClone(layout)), {
      displayModeBar: false, doubleClick: false, responsive: false, scrollZoom: false,
    })
    this.listen()
    this.hoverAgain()
  }

  listen() {
    if (this.listening) return
    this.listening = true
    this.plot.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((name) => /axis\d*\.range/.test(name))) this.reset.hidden = false
    })
    this.plot.on("plotly_doubleclick", () => this.showAll())
    this.plot.on("plotly_click", ({ points: [point] }) => {
      if (!this.data.clickable || !point) return
      this.send("clicked", {
        x: point.x ?? null, y: point.y ?? null, curve: point.curveNumber,
        point: point.pointNumber ?? null, customdata: point.customdata ?? null,
      })
    })
  }

  // The figure as it is shown, at a size of its own, with its legend and its words as the title:
  // a picture on paper has no page around it. Resolves to a data: address.
  async picture(format, title) {
    const Plotly = await loadPlotly(this.data.script)
    const { data, layout } = structuredClone(this.data.figure)
    const size = { width: 1000, height: Math.max(this.data.height, 520) }
    const named = data.filter((trace) => trace.name && trace.showlegend !== false).length
    const { view } = this
    Object.assign(this.themed(layout), size, { showlegend: named > 1 })
    this.view = view
    for (const name of Object.keys(layout)) { // the reader's zoom goes with it
      const range = /^[xy]axis\d*$/.test(name) && this.plot.layout?.[name]?.range
      if (range) layout[name].range = [...range]
    }
    layout.title = { text: title, font: { size: 15 }, x: 0, xref: "paper", yref: "container",
      y: 0.98, yanchor: "top" }
    const lines = named > 1 ? Math.ceil(named / 3) : 0
    layout.margin = { ...layout.margin, t: 48 + 20 * lines + (layout.annotations ? 18 : 0) }
    return Plotly.toImage({ data, layout, config: {} },
      { ...size, format, scale: format === "png" ? 2 : 1 })
  }

  showAll() {
    this.views += 1
    this.reset.hidden = true
    this.held = false
    this.draw()
  }

  // A redraw takes the tooltip away; the mouse has not moved, so bring it back.
  hoverAgain() {
    if (!this.mouse || !this.plot.matches(":hover")) return
    const { clientX, clientY } = this.mouse
    const target = document.elementFromPoint(clientX, clientY)
    if (!target || !this.plot.contains(target)) return
    const at = { bubbles: true, cancelable: true, view: window, clientX, clientY }
    target.dispatchEvent(new MouseEvent("mousemove", at))
  }

  // Text, grid and tooltip from the page's theme; colours of data are the figure's own.
  themed(layout) {
    const css = getComputedStyle(this.root)
    const of = (name) => css.getPropertyValue(`--st-${name}`).trim()
    const [text, line] = [of("text-color"), of("border-color")]
    const narrow = this.width < 480
    const font = { family: of("font"), color: text, size: narrow ? 11 : 13 }
    const axis = {
      gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, ticks: "outside",
      ticklen: 4, automargin: true, title: { standoff: 10, font }, nticks: narrow ? 5 : undefined,
      spikecolor: text, spikethickness: 1, spikedash: "dot",
    }
    layout.template = {
      layout: {
        font, xaxis: axis, yaxis: axis, legend: { font },
        // Not see-through: Plotly takes its contrast colours from it.
        paper_bgcolor: of("background-color"), plot_bgcolor: "rgba(0,0,0,0)",
        hoverlabel: {
          bgcolor: of("secondary-background-color"), bordercolor: line, align: "left",
          font: { family: of("font"), color: text, size: 13 },
        },
      },
    }
    const view = `${layout.uirevision}/${this.views}`
    if (this.view !== undefined && this.view !== view) this.reset.hidden = true
    this.view = view
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(name)) layout[name].uirevision = view
    }
    if (TOUCH) layout.dragmode = false // a finger on the chart scrolls the page
    return Object.assign(layout, { width: this.width, height: this.height(), autosize: false })
  }

  // On a phone a legend takes a line per curve; it gets them without squeezing the plot.
  height() {
    const { data, layout } = this.data.figure
    const named = data.filter((trace) => trace.showlegend !== false).length
    const lines = this.width < 480 && layout.showlegend && named > 2 ? named : 0
    return this.data.height + 17 * lines
  }

  note(text) {
    this.message ??= this.root.insertBefore(element("p", "lab-chart-note"), this.plot)
    this.message.textContent = text
  }

  remove() {
    this.removed = true
    this.sizes.disconnect()
    window.removeEventListener("pointerup", this.release)
    window.removeEventListener("pointercancel", this.release)
    window.Plotly?.purge(this.plot)
    this.root.remove()
    charts.delete(this.parent)
  }
}

function element(tag, name) {
  const made = document.createElement(tag)
  made.className = name
  return made
}
