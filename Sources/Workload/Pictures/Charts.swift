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
      keys: keys(choice) { !$0.bins.isEmpty } + faultKeys)
  }

  /// Bins as points in the middle of each, from the begin of the curve's jobs to their end, which may lie inside of bins.
  func rates(
    _ curve: RunCurves.Curve, _ elapsed: Double, _ value: (RunCurves.Bin) -> Double
  ) -> [Plot.Point] {
    let width = curve.binNanoseconds
    guard width > 0, width.isFinite else { return [] }
    // What comes after the run's end (a volume is synchronized and compared) is none of its rates.
    let begin = max(0, min(curve.begin, elapsed)), end = max(begin + width / 100, min(curve.end, elapsed))
    // Parts of bins that are too short to say much alone go with their neighbour.
    var pieces: [(start: Double, end: Double, value: Double)] = []
    let last = min((end / width).rounded(.up), Double(max(curve.bins.count, 2 * RunCurves.binLimit)))
    for index in Int(min(last, begin / width))..<max(1, Int(last)) {
      let start = max(begin, Double(index) * width), end = min(end, Double(index + 1) * width)
      let value = index < curve.bins.count ? value(curve.bins[index]) : 0
      if let before = pieces.last, min(end - start, before.end - before.start) < width / 2 {
        pieces[pieces.count - 1] = (before.start, end, before.value + value)
      } else {
        pieces.append((start, end, value))
      }
    }
    let points = pieces.map { Plot.Point(x: ($0.start + $0.end) / 2, y: $0.value * 1e9 / ($0.end - $0.start)) }
    // A line needs two points.
    guard let only = points.first, points.count == 1 else { return points }
    return [.init(x: begin, y: only.y), .init(x: end, y: only.y)]
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

  /// The legend of those lines that the plot has.
  func keys(_ choice: LineChoice, where isDrawn: (RunCurves.Curve) -> Bool) -> [Figure.Key] {
    let keys = choice.lines.compactMap { line -> Figure.Key? in
      let mark: Figure.Key.Mark
      if line.run.map(isDrawn) == true {
        mark = .line(.solid, hasMarker: true)
      } else if line.base.map(isDrawn) == true {
        mark = .line(.base, hasMarker: false)
      } else {
        return nil
      }
      return Figure.Key(name: line.name, color: line.color, mark: mark)
    }
    return keys + baseKeys(choice.lines.contains { $0.base.map(isDrawn) == true })
  }

  func baseKeys(_ isDrawn: Bool) -> [Figure.Key] {
    isDrawn
      ? [.init(name: baseName, color: LineChoice.neutralColor, mark: .line(.base, hasMarker: false))] : []
  }

  /// The base is called so where nobody gave it a name.
  var baseName: String { base.map { $0.name.isEmpty ? "base" : $0.name } ?? "" }
}
