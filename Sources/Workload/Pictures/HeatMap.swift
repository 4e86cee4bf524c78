internal import Glibc

/// Where on a device requests went over time: a plot of rows of squares, the fuller the more requests.
enum HeatMap {
  static let levelCount = 6

  /// The smallest number of requests of each level, evenly spaced by ratio up to the largest number.
  static func thresholds(upTo largest: UInt32) -> [UInt32] {
    var result: [UInt32] = []
    for level in 0..<levelCount {
      let value = pow(Double(max(1, largest)), Double(level) / Double(levelCount))
      result.append(max(UInt32(value.rounded(.up)), (result.last ?? 0) + 1))
    }
    return result
  }

  /// - Parameter columns: of the map, each a list of rows.
  static func plot(
    _ columns: [[UInt32]], of map: AccessMap, frame: Plot.Frame, duration: Double, thresholds: [UInt32], color: Int,
    noun: String, xTitle: String
  ) -> Plot {
    let end = Double(map.rowByteCount) * Double(AccessMap.rowCount)
    var plot = Plot(
      frame, x: .exact(to: duration, .time), y: .exact(to: Double(map.deviceByteCount), .bytes, parts: 4),
      xTitle: xTitle, yTitle: noun)
    // One unit is a column wide and a row high; rows count from above. What is outside of this element is cut off.
    let height = Double(AccessMap.rowCount) * Double(map.deviceByteCount) / end
    let shift = Double(AccessMap.rowCount) - height
    plot.raw(
      "<svg x=\"\(Markup.coordinate(frame.left))\" y=\"\(Markup.coordinate(frame.top))\" "
        + "width=\"\(Markup.coordinate(frame.plotWidth))\" height=\"\(Markup.coordinate(frame.plotHeight))\" "
        + "viewBox=\"0 \(Markup.coordinate(shift)) \(decimal(duration / Double(map.columnNanoseconds))) "
        + "\(decimal(height))\" preserveAspectRatio=\"none\">\n")
    for level in 0..<levelCount {
      let upper = level + 1 < levelCount ? thresholds[level + 1] - 1 : UInt32.max
      let path = runs(columns, thresholds[level]...max(thresholds[level], upper))
      guard !path.isEmpty else { continue }
      plot.raw(
        "<path class=\"c\(color) q\(level + 1)\" d=\"\(path)\"><title>\(name(level, thresholds)) \(noun)</title></path>\n"
      )
    }
    plot.raw("</svg>\n")
    return plot
  }

  static func name(_ level: Int, _ thresholds: [UInt32]) -> String {
    guard level + 1 < levelCount else { return "\(thresholds[level]) or more" }
    let last = thresholds[level + 1] - 1
    return last == thresholds[level] ? "\(last)" : "\(thresholds[level])–\(last)"
  }

  /// Squares whose numbers are of one level, neighbours in a row as one stroke.
  private static func runs(_ columns: [[UInt32]], _ level: ClosedRange<UInt32>) -> String {
    var path = ""
    for row in 0..<AccessMap.rowCount {
      var start: Int?
      for column in 0...columns.count {
        let isIn = column < columns.count && level.contains(columns[column][row])
        if isIn {
          start = start ?? column
        } else if let first = start {
          path += "M\(first) \(AccessMap.rowCount - 1 - row).5h\(column - first)"
          start = nil
        }
      }
    }
    return path
  }

  /// To a thousandth: a unit is some pixels here.
  private static func decimal(_ value: Double) -> String {
    let thousandths = UInt64((max(0.001, min(1e6, value.isFinite ? value : 1)) * 1000).rounded())
    return "\(thousandths / 1000).\(ReportNumber.padded(thousandths % 1000, 3))"
  }
}
