/// A picture of the page: what it shows, the plot, and what its lines stand for.
struct Figure {
  /// A line of the legend.
  struct Key {
    enum Mark {
      case line(Plot.LineStyle, hasMarker: Bool)
      case area
      /// An event on the time line.
      case event
      /// Squares from faint to full, of the heat map.
      case levels
    }

    var name: String
    var color = 0
    var mark = Mark.line(.solid, hasMarker: false)
  }

  /// Of the element, for links to it.
  var id: String
  var title: String
  /// What a reader must know beyond the title.
  var note = ""
  var svg: String
  var keys: [Key] = []

  var markup: String {
    let id = Markup.escaped(id)
    var text = "<figure id=\"\(id)\">\n<figcaption><h2>\(Markup.escaped(title))</h2>"
    if !note.isEmpty { text += "<p>\(Markup.escaped(note))</p>" }
    text += "</figcaption>\n\(svg)"
    if !keys.isEmpty { text += "<ul class=\"keys\">\n\(keys.map(\.markup).joined())</ul>\n" }
    return text + "</figure>\n"
  }
}

extension Figure.Key {
  fileprivate var markup: String {
    let picture =
      switch mark {
      case .line(let style, let hasMarker):
        "<g class=\"c\(color)\"><path class=\"\(style.rawValue)\" d=\"M1 6h28\"/>"
          + (hasMarker ? "<path class=\"p\" d=\"\(Plot.shape(color, 15, 6))\"/>" : "") + "</g>"
      case .area: "<path class=\"c\(color) f\" d=\"M8 0h14v12h-14z\"/>"
      case .event: "<g class=\"w\"><path class=\"v\" d=\"M11 0h8v12h-8z\"/><path d=\"M11 0h8v4h-8z\"/></g>"
      case .levels:
        (1...HeatMap.levelCount).map { level in
          "<path class=\"c\(color) q\(level)\" d=\"M\((level - 1) * 5) 6h5\" stroke-width=\"12\"/>"
        }.joined()
      }
    return "<li title=\"\(Markup.escaped(name))\"><svg viewBox=\"0 0 30 12\" aria-hidden=\"true\">\(picture)</svg>"
      + "\(Markup.escaped(Markup.shortened(name, to: 60)))</li>\n"
  }
}
