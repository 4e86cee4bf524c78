/// A plot as an element `<svg>`: two axes, and marks between them.
///
/// It needs no script: what a mark stands for is its `<title>`, which browsers show beside the pointer. All colours are
/// classes, which the page's style sheet gives one value on light and one on dark paper.
struct Plot {
  /// How wide plots are; a page scales them to the column they stand in.
  static let fullWidth = 760.0

  /// How a line is drawn.
  enum LineStyle: String {
    case solid = "l"
    /// Of the earlier run.
    case base = "l b"
    /// From the intended start.
    case intended = "l i"
  }

  struct Point: Equatable {
    var x: Double
    var y: Double
  }

  /// Where the plot lies in its picture, and where its marks lie.
  struct Frame {
    var x = 0.0, y = 0.0, width = fullWidth, height = 270.0
    var left: Double { x + 62 }
    var top: Double { y + 24 }
    var plotWidth: Double { width - 62 - 22 }
    var plotHeight: Double { height - 24 - 40 }
    var bottom: Double { top + plotHeight }
  }

  let frame: Frame
  let x: Axis
  let y: Axis
  private(set) var marks = ""

  init(_ frame: Frame = Frame(), x: Axis, y: Axis, xTitle: String, yTitle: String) {
    self.frame = frame
    self.x = x
    self.y = y
    drawAxes(xTitle, yTitle)
  }

  func xPosition(_ value: Double) -> Double { frame.left + frame.plotWidth * x.position(value) }
  func yPosition(_ value: Double) -> Double { frame.bottom - frame.plotHeight * y.position(value) }

  /// The element around one or more plots.
  static func svg(_ plots: [Plot], label: String) -> String {
    let width = plots.map { $0.frame.x + $0.frame.width }.max() ?? fullWidth
    let height = plots.map { $0.frame.y + $0.frame.height }.max() ?? 0
    return "<svg viewBox=\"0 0 \(Markup.coordinate(width)) \(Markup.coordinate(height))\" role=\"img\" "
      + "aria-label=\"\(Markup.escaped(label))\">\n" + plots.map(\.marks).joined() + "</svg>\n"
  }

  // MARK: Axes

  private mutating func drawAxes(_ xTitle: String, _ yTitle: String) {
    var grid = ""
    for tick in y.ticks {
      let place = yPosition(tick.value)
      grid += "M\(c(frame.left)) \(c(place))h\(c(frame.plotWidth))"
      text(tick.label, x: frame.left - 7, y: place + 4, class: "e")
    }
    var stubs = "M\(c(frame.left)) \(c(frame.bottom))h\(c(frame.plotWidth))"
    // Labels that would touch the one before are left out; their marks stay.
    var end = -Double.infinity
    for tick in x.ticks {
      let place = xPosition(tick.value)
      stubs += "M\(c(place)) \(c(frame.bottom))v4"
      let half = Self.width(of: tick.label) / 2
      guard place - half > end + 6, place + half <= frame.x + frame.width else { continue }
      text(tick.label, x: place, y: frame.bottom + 17, class: "m")
      end = place + half
    }
    marks = "<path class=\"g\" d=\"\(grid)\"/><path class=\"a\" d=\"\(stubs)\"/>\n" + marks
    text(xTitle, x: frame.left + frame.plotWidth / 2, y: frame.bottom + 33, class: "m d")
    text(yTitle, x: frame.x + 2, y: frame.y + 12, class: "d")
  }

  /// About how wide a label is.
  static func width(of text: String) -> Double { Double(text.count) * 6.4 }

  /// - Parameter style: of the style sheet: `m` centred, `e` ending here, `d` faint, `n` a heading.
  mutating func text(_ text: String, x: Double, y: Double, class style: String) {
    let style = style.isEmpty ? "" : " class=\"\(style)\""
    marks += "<text x=\"\(c(x))\" y=\"\(c(y))\"\(style)>\(Markup.escaped(text))</text>\n"
  }

  // MARK: Marks

  /// A line through points; nil is a gap. A point between gaps becomes a dot.
  ///
  /// - Parameters:
  ///   - color: the number of its colour and of the shape that marks some of its points.
  mutating func line(_ points: [Point?], color: Int, style: LineStyle = .solid, hasMarkers: Bool = false, title: String)
  {
    var path = "", shapes = ""
    var isDrawing = false
    for (index, point) in points.enumerated() {
      guard let point else {
        isDrawing = false
        continue
      }
      let place = "\(c(xPosition(point.x))) \(c(yPosition(point.y)))"
      path += (isDrawing ? "L" : "M") + place
      let isAlone = !isDrawing && (index + 1 == points.count || points[index + 1] == nil)
      if isAlone { path += "h0" }
      isDrawing = true
      // Some points only, and of each line others.
      let stride = max(1, points.count / 8)
      if hasMarkers, index % stride == (color * stride / 8 + stride / 2) % stride {
        shapes += Self.shape(color, xPosition(point.x), yPosition(point.y))
      }
    }
    guard !path.isEmpty else { return }
    marks +=
      "<g class=\"c\(color)\"><title>\(Markup.escaped(title))</title><path class=\"\(style.rawValue)\" d=\"\(path)\"/>"
    if !shapes.isEmpty { marks += "<path class=\"p\" d=\"\(shapes)\"/>" }
    marks += "</g>\n"
  }

  /// The area between two lines over the same places.
  mutating func area(_ lower: [Point], _ upper: [Point], color: Int, title: String) {
    guard !upper.isEmpty else { return }
    let outline = (upper + lower.reversed()).enumerated().map { index, point in
      "\(index == 0 ? "M" : "L")\(c(xPosition(point.x))) \(c(yPosition(point.y)))"
    }
    marks += "<path class=\"c\(color) f\" d=\"\(outline.joined())Z\"><title>\(Markup.escaped(title))</title></path>\n"
  }

  /// A bar from the axis up, between two places of the x axis.
  mutating func bar(from start: Double, to end: Double, value: Double, class style: String, title: String) {
    let top = yPosition(value)
    marks +=
      "<rect class=\"\(style)\" x=\"\(c(xPosition(start)))\" y=\"\(c(top))\" "
      + "width=\"\(c(xPosition(end) - xPosition(start)))\" height=\"\(c(frame.bottom - top))\">"
      + "<title>\(Markup.escaped(title))</title></rect>\n"
  }

  /// An invisible strip that shows a text where the pointer is.
  mutating func strip(from start: Double, to end: Double, title: String) {
    let left = xPosition(start)
    marks +=
      "<rect class=\"h\" x=\"\(c(left))\" y=\"\(c(frame.top))\" width=\"\(c(xPosition(end) - left))\" "
      + "height=\"\(c(frame.plotHeight))\"><title>\(Markup.escaped(title))</title></rect>\n"
  }

  /// Vertical marks where something happened: a band, and a cap above the plot that is seen however short the event was.
  mutating func events(_ events: [Event], hasBands: Bool = true) {
    for event in events {
      let start = xPosition(event.start), end = xPosition(event.end)
      let middle = (start + end) / 2
      let band = max(1.2, end - start), cap = max(5, end - start)
      let area = "M\(c(middle - band / 2)) \(c(frame.top))h\(c(band))v\(c(frame.plotHeight))h-\(c(band))z"
      marks +=
        "<g class=\"w\"><title>\(Markup.escaped(event.title))</title>"
        + (hasBands ? "<path class=\"v\" d=\"\(area)\"/>" : "")
        + "<path d=\"M\(c(middle - cap / 2)) \(c(frame.top - 6))h\(c(cap))v5h-\(c(cap))z\"/></g>\n"
    }
  }

  /// Something that happened, and when.
  struct Event: Equatable {
    var start: Double
    var end: Double
    var title: String
  }

  /// What is no mark of a plot's own.
  mutating func raw(_ markup: String) { marks += markup }

  /// A small shape around a place: each colour has its own, for eyes and printers that do not tell the colours apart.
  static func shape(_ index: Int, _ x: Double, _ y: Double) -> String {
    let start = "M\(c(x)) \(c(y))"
    return switch index % 8 {
    case 0: start + "m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z"
    case 1: start + "m-2.9 -2.9h5.8v5.8h-5.8z"
    case 2: start + "m0 -3.8l3.6 6.4h-7.2z"
    case 3: start + "m0 -4l4 4l-4 4l-4 -4z"
    case 4: start + "m0 3.8l3.6 -6.4h-7.2z"
    case 5: start + "m-1.2 -3.8h2.4v2.6h2.6v2.4h-2.6v2.6h-2.4v-2.6h-2.6v-2.4h2.6z"
    case 6: start + "m-4 -1.4h8v2.8h-8z"
    default: start + "m-1.4 -4h2.8v8h-2.8z"
    }
  }
}

/// Coordinates are everywhere here.
private func c(_ value: Double) -> String { Markup.coordinate(value) }
