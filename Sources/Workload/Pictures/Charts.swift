/// The plots of a run, beside those of an earlier one.
struct Charts {
  let report: RunReport
  let run: RunCurves
  let base: RunCurves?
  /// How long the time axes are.
  let duration: Double
  let faults: [Plot.Event]
  static let timeTitle = "time since the begin of the run"

  init(_ report: RunReport, _ run: RunCurves, base: RunCurves?) {
    self.report = report
    self.run = run
    self.base = base?.asShown
    duration = max(1, run.elapsedNanoseconds, base?.elapsedNanoseconds ?? 0)
    faults = Self.faults(report)
  }

  /// All that the report has data for.
  var figures: [Figure] {
    let rates = [throughput, operations].compactMap(\.self)
    return rates + latencies + [distribution, accesses, batchSizes, counters].flatMap { $0 }
  }

  // MARK: Over time

  var throughput: Figure? {
    let isShown = { (curve: RunCurves.Curve) in curve.operation.movesBytes && !curve.bins.isEmpty }
    return overTime(
      LineChoice(run.jobs.filter(isShown), base?.jobs.filter(isShown) ?? [], by: \.byteCount), id: "throughput",
      title: "Throughput over time", noun: "throughput", quantity: .bytesPerSecond, value: \.byteCount)
  }

  var operations: Figure? {
    let isShown = { (curve: RunCurves.Curve) in !curve.bins.isEmpty }
    return overTime(
      LineChoice(run.operations.filter(isShown), base?.operations.filter(isShown) ?? [], by: \.count), id: "operations",
      title: "Operations over time", noun: "operations", quantity: .perSecond, value: \.count)
  }

  func overTime(
    _ choice: LineChoice, id: String, title: String, noun: String, quantity: Quantity, value: (RunCurves.Bin) -> Double
  ) -> Figure? {
    let ofRun = choice.lines.map { $0.run.map { rates($0, run.elapsedNanoseconds, value) } ?? [] }
    let ofBase = choice.lines.map { $0.base.map { rates($0, base?.elapsedNanoseconds ?? 0, value) } ?? [] }
    let all = (ofRun + ofBase).flatMap { $0.map(\.y) }
    guard let largest = all.max() else { return nil }
    // Few operations beside many, or one job beside the sum of a hundred, would lie on the axis.
    let typical = ofRun.map { points in points.map(\.y).reduce(0, +) / Double(max(1, points.count)) }.filter { $0 > 0 }
    let isLogarithmic = (typical.max() ?? 0) > 50 * (typical.min() ?? 0)
    let smallest = all.filter { $0 > 0 }.min() ?? 1
    var plot = Plot(
      x: .exact(to: duration, .time),
      y: isLogarithmic ? .logarithmic(from: smallest, to: largest, quantity) : .linear(to: largest, quantity),
      xTitle: Self.timeTitle, yTitle: noun + (isLogarithmic ? ", log scale" : ""))
    for (line, points) in zip(choice.lines, ofBase) {
      plot.line(points, color: line.color, style: .base, title: "\(line.name), \(baseName)")
    }
    for (line, points) in zip(choice.lines, ofRun) {
      plot.line(points, color: line.color, hasMarkers: true, title: line.name)
    }
    addStrips(to: &plot, zip(choice.lines, ofRun).map { ($0.name, $1) }, quantity)
    plot.events(faults)
    return Figure(
      id: id, title: title, note: widthNote + (isLogarithmic ? " Zero lies on the axis." : ""),
      svg: Plot.svg([plot], label: "\(title): \(choice.lines.map(\.name).joined(separator: ", "))"),
      keys: keys(choice) + faultKeys)
  }

  /// Bins as points in the middle of each; the last one, which the run's end cuts off, only by the time that it lasted.
  func rates(
    _ curve: RunCurves.Curve, _ elapsed: Double, _ value: (RunCurves.Bin) -> Double
  ) -> [Plot.Point] {
    let width = curve.binNanoseconds
    guard width > 0 else { return [] }
    // What comes after the run's end (a volume is synchronized and compared) is none of its rates.
    var bins = curve.bins.prefix(max(1, Int(min(1e6, (elapsed / width).rounded(.up))))).map(value)
    // A job that begins later or ends earlier has a line of that time, which begins and ends at zero.
    let first = max(0, (bins.firstIndex { $0 > 0 } ?? 0) - 1)
    if Double(bins.count + 1) * width <= elapsed { bins.append(0) }
    var points: [Plot.Point] = []
    for index in bins.indices.dropFirst(first) {
      let start = Double(index) * width, end = min(start + width, max(elapsed, start + width / 100))
      if end - start < width / 2, let last = points.last {
        // Too short to say much alone.
        points[points.count - 1].y = (last.y * width + bins[index] * 1e9) / (end - start + width)
      } else {
        points.append(.init(x: (start + end) / 2, y: bins[index] * 1e9 / (end - start)))
      }
    }
    // A line needs two points.
    if let only = points.first, points.count == 1 {
      let start = Double(first) * width
      points = [.init(x: start, y: only.y), .init(x: min(start + width, max(elapsed, start)), y: only.y)]
    }
    return points
  }

  /// What each line is at, beside the pointer.
  func addStrips(to plot: inout Plot, _ lines: [(name: String, points: [Plot.Point])], _ quantity: Quantity) {
    let width = shownWidth
    guard width > 0, duration / width <= Double(RunCurves.binLimit) * 2 else { return }
    var texts = [[String]](repeating: [], count: Int((duration / width).rounded(.up)))
    for (name, points) in lines {
      for point in points {
        let index = Int(point.x / width)
        if texts.indices.contains(index) { texts[index].append("\(name): \(quantity.text(point.y))") }
      }
    }
    for (index, lines) in texts.enumerated() where !lines.isEmpty {
      let start = Double(index) * width, end = min(duration, start + width)
      let title = "\(Quantity.time.text(start)) to \(Quantity.time.text(end))"
      plot.strip(from: start, to: end, title: ([title] + lines).joined(separator: "\n"))
    }
  }

  var shownWidth: Double { run.jobs.map(\.binNanoseconds).max() ?? 0 }
  var widthNote: String {
    shownWidth > 0 ? "A point stands for \(Quantity.time.text(shownWidth))." : ""
  }

  // MARK: Faults and legends

  static func faults(_ report: RunReport) -> [Plot.Event] {
    guard let series = report.counterSeries, let column = series.names.firstIndex(of: "faults") else { return [] }
    let width = RunCurves.shownBinWidth(widest: series.binNanoseconds, elapsed: max(1, report.elapsedNanoseconds))
    var counts: [UInt64] = []
    for (index, row) in series.rows.enumerated() {
      let time = min(UInt64(index) * series.binNanoseconds, report.elapsedNanoseconds)
      let place = Int(time / max(1, width))
      while counts.count <= place { counts.append(0) }
      counts[place] += row[column]
    }
    // Neighbours are one event.
    var spans: [(first: Int, last: Int, count: UInt64)] = []
    for (index, count) in counts.enumerated() where count > 0 {
      if let last = spans.last, last.last + 1 == index {
        spans[spans.count - 1] = (last.first, index, last.count + count)
      } else {
        spans.append((index, index, count))
      }
    }
    let elapsed = Double(max(1, report.elapsedNanoseconds))
    return spans.map { span in
      let start = min(elapsed, Double(span.first) * Double(width))
      let end = min(elapsed, Double(span.last + 1) * Double(width))
      return .init(
        start: start, end: end,
        title: "\(span.count) \(span.count == 1 ? "fault" : "faults") fired, "
          + "\(Quantity.time.text(start)) to \(Quantity.time.text(end))")
    }
  }

  var faultKeys: [Figure.Key] { faults.isEmpty ? [] : [.init(name: "faults fired", mark: .event)] }

  func keys(_ choice: LineChoice) -> [Figure.Key] {
    let keys = choice.lines.map { Figure.Key(name: $0.name, color: $0.color, mark: .line(.solid, hasMarker: true)) }
    return keys + (base == nil ? [] : [.init(name: baseName, color: 6, mark: .line(.base, hasMarker: false))])
  }

  /// The base is called so where nobody gave it a name.
  var baseName: String { base.map { $0.name.isEmpty ? "base" : $0.name } ?? "" }
}
