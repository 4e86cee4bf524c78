extension Charts {
  /// A plot for each operation, with one scale for all.
  var latencies: [Figure] {
    let pairs = LineChoice(
      run.operations.filter { !$0.bins.isEmpty }, base?.operations.filter { !$0.bins.isEmpty } ?? [], by: \.count
    ).lines
    let curves = pairs.flatMap { pair in [pair.run, pair.base].compactMap(\.self) }
    let bins = curves.flatMap(\.bins).filter { $0.count > 0 }
    guard let smallest = bins.map({ min($0.mean, $0.p99) }).min(), let largest = bins.map(\.maximum).max() else {
      return []
    }
    let columns = pairs.count == 1 ? 1 : 2
    var plots: [Plot] = []
    for (index, pair) in pairs.enumerated() {
      var frame = Plot.Frame()
      frame.width = Plot.fullWidth / Double(columns)
      frame.height = columns == 1 ? 270 : 215
      frame.x = Double(index % columns) * frame.width
      frame.y = Double(index / columns) * (frame.height + 6)
      var plot = Plot(
        frame, x: .exact(to: duration, .time, parts: columns == 1 ? 8 : 5),
        y: .logarithmic(from: max(1, smallest), to: max(1, largest), .latency),
        xTitle: columns == 1 ? Self.timeTitle : "",
        yTitle: "")
      plot.text(
        pair.name, x: frame.left, y: frame.y + 13, class: "n")
      let parts: [(String, Int, (RunCurves.Bin) -> Double)] = [
        ("max", 6, \.maximum), ("p99", 1, \.p99), ("mean", 0, \.mean),
      ]
      for (name, color, value) in parts {
        if let curve = pair.base {
          plot.line(latencyPoints(curve, value), color: color, style: .base, title: "\(name), \(baseName)")
        }
      }
      var lines: [(String, [Plot.Point])] = []
      for (name, color, value) in parts {
        guard let curve = pair.run else { continue }
        let points = latencyPoints(curve, value)
        plot.line(points, color: color, title: name)
        lines.append((name, points.compactMap(\.self)))
      }
      addStrips(to: &plot, lines, .latency)
      plot.events(faults)
      plots.append(plot)
    }
    // A line there is where anything ended, whatever it took.
    let hasLine = { (curve: RunCurves.Curve) in curve.bins.contains { $0.count > 0 } }
    let keys =
      [("mean", 0), ("p99", 1), ("max", 6)].map { Figure.Key(name: $0, color: $1) }
      + baseKeys(pairs.contains { $0.base.map(hasLine) == true })
    let kind =
      hasIntended
      ? "Total latency, from the start of each operation and not from the intended one. "
      : hasParts ? "Total latency. " : ""
    return [
      Figure(
        id: "latency", title: "Latency over time", note: "Of all jobs, log scale. \(kind)\(widthNote)",
        svg: Plot.svg(plots, label: "Latency over time by operation: mean, p99 and maximum"), keys: keys + faultKeys)
    ]
  }

  private func latencyPoints(_ curve: RunCurves.Curve, _ value: (RunCurves.Bin) -> Double) -> [Plot.Point?] {
    curve.bins.enumerated().map { index, bin in
      bin.count > 0 ? .init(x: (Double(index) + 0.5) * curve.binNanoseconds, y: max(1, value(bin))) : nil
    }
  }

  /// Latency by percentile: the axis is of the share beyond, so that each further nine takes as much room.
  var distribution: [Figure] {
    let hasQuantiles = { (curve: RunCurves.Curve) in !curve.quantiles.isEmpty }
    var choice = LineChoice(run.jobs.filter(hasQuantiles), base?.jobs.filter(hasQuantiles) ?? [], by: \.count)
    var note = ""
    if choice.summed > 0 {
      // No percentile follows from percentiles.
      choice = LineChoice(run.operations.filter(hasQuantiles), base?.operations.filter(hasQuantiles) ?? [], by: \.count)
      note = "Of all jobs. "
    }
    let curves = choice.lines.flatMap { [$0.run, $0.base].compactMap(\.self) }
    let quantiles = curves.flatMap { $0.quantiles + $0.intended }
    guard let smallest = quantiles.map(\.nanoseconds).min(), let largest = quantiles.map(\.nanoseconds).max() else {
      return []
    }
    let tail = quantiles.map { Self.tail($0.share) }.max() ?? 10
    var plot = Plot(
      x: .logarithmic(from: 1, to: max(10, tail), .percentile),
      y: .logarithmic(from: max(1, smallest), to: max(1, largest), .latency), xTitle: "percentile of operations",
      yTitle: "latency, log scale")
    func points(_ quantiles: [RunCurves.Quantile]) -> [Plot.Point] {
      quantiles.map { .init(x: Self.tail($0.share), y: max(1, $0.nanoseconds)) }
    }
    for line in choice.lines {
      if let curve = line.base {
        plot.line(points(curve.quantiles), color: line.color, style: .base, title: "\(line.name), \(baseName)")
      }
    }
    for line in choice.lines {
      guard let curve = line.run else { continue }
      plot.line(
        points(curve.intended), color: line.color, style: .intended, title: "\(line.name) from the intended start")
      plot.line(
        points(curve.quantiles), color: line.color, hasMarkers: true,
        title: line.name + "\n" + Self.summary(curve.quantiles))
    }
    var keys = keys(choice, where: hasQuantiles)
    if hasParts { note += "Completion latency, from submission to completion. " }
    if choice.lines.contains(where: { $0.run?.intended.isEmpty == false }) {
      keys.append(
        Figure.Key(
          name: "from the intended start", color: LineChoice.neutralColor, mark: .line(.intended, hasMarker: false)))
      note += "Dots: from the start that \(intendedBy). "
    }
    return [
      Figure(
        id: "distribution", title: "Latency distribution",
        note: note + "A line ends with the slowest operation.",
        svg: Plot.svg([plot], label: "Latency by percentile: \(choice.lines.map(\.name).joined(separator: ", "))"),
        keys: keys)
    ]
  }

  /// Of operations on devices; of others there is but one latency.
  private var hasParts: Bool {
    report.groups.contains { $0.operations.present.contains { $0.value.completion != nil } }
  }
  private var hasIntended: Bool { run.operations.contains { !$0.intended.isEmpty } }

  /// What says when operations are to start.
  private var intendedBy: String {
    let jobs = report.groups.filter { $0.operations.present.contains { $0.value.intended != nil } }
    let replaying = jobs.filter { group in
      group.job?.replay != nil || report.replays.contains { $0.job == group.name }
    }
    if replaying.isEmpty { return "the job's rate asks for" }
    return replaying.count == jobs.count ? "the log has" : "the log has or the job's rate asks for"
  }

  /// `1 / (1 - p)`, at most a thousand million.
  private static func tail(_ share: Double) -> Double { share < 1 ? min(1e9, 1 / (1 - max(0, share))) : 1e9 }

  private static func summary(_ quantiles: [RunCurves.Quantile]) -> String {
    [0.5, 0.99, 0.999].compactMap { share in
      quantiles.first { $0.share >= share }.map {
        "\(Quantity.percentile.text(tail(share))) ≤ \(Quantity.latency.text($0.nanoseconds))"
      }
    }.joined(separator: ", ")
  }
}
