internal import Glibc

/// What became of the operations below: at the device, and in a volume's writeback.
extension Charts {
  /// How many devices have pictures.
  private static let deviceLimit = 4

  var accesses: [Figure] {
    let maps = report.accessMaps.filter { !$0.map.reads.isEmpty || !$0.map.writes.isEmpty }
    return maps.prefix(Self.deviceLimit).enumerated().compactMap { index, part -> Figure? in
      // What comes after the run's end, such as the comparison, is cut off.
      let shown = Int(min(1e6, (run.elapsedNanoseconds / Double(part.map.columnNanoseconds)).rounded(.up)))
      let parts: [(name: String, columns: [[UInt32]], color: Int)] = [
        ("reads", Array(part.map.reads.prefix(shown)), 0), ("writes", Array(part.map.writes.prefix(shown)), 1),
      ].filter { $0.1.contains { $0.contains { $0 > 0 } } }
      let largest = parts.flatMap { $0.columns.map { $0.max() ?? 0 } }.max() ?? 0
      let thresholds = HeatMap.thresholds(upTo: largest)
      guard largest > 0 else { return nil }
      var plots: [Plot] = []
      for (place, part) in parts.enumerated() {
        var frame = Plot.Frame()
        frame.height = parts.count == 1 ? 240 : 204
        frame.y = Double(place) * frame.height
        var plot = HeatMap.plot(
          part.columns, of: maps[index].map, frame: frame, duration: duration, thresholds: thresholds,
          color: part.color,
          noun: part.name, xTitle: place + 1 == parts.count ? Self.timeTitle : "")
        // Bands would hide squares that are as faint.
        plot.events(faults, hasBands: false)
        plots.append(plot)
      }
      let cell =
        "A square is \(Quantity.time.text(part.map.columnNanoseconds)) by \(Quantity.bytes.text(part.map.rowByteCount)); "
      let rest = index == Self.deviceLimit - 1 ? maps.count - Self.deviceLimit : 0
      let last = HeatMap.name(HeatMap.levelCount - 1, thresholds)
      return Figure(
        id: index == 0 ? "accesses" : "accesses-\(index + 1)",
        title: "Accesses over time: \(Markup.shortened(part.name))",
        note: cell + "the height is the place on the device."
          + (rest > 0 ? " \(rest) more devices are not shown." : ""),
        svg: Plot.svg(plots, label: "Heat map of reads and writes by place on the device over time"),
        keys: parts.map { .init(name: "\($0.name), 1 to \(last)", color: $0.color, mark: .levels) } + faultKeys)
    }
  }

  var batchSizes: [Figure] {
    let sizes = run.batchSizes, before = base?.batchSizes ?? []
    func count(_ list: [UInt64], _ index: Int) -> UInt64 { index < list.count ? list[index] : 0 }
    let used = (0..<max(sizes.count, before.count)).filter { count(sizes, $0) > 0 || count(before, $0) > 0 }
    guard let first = used.first, let last = used.last, last < 63 else { return [] }
    let largest = (sizes + before).max() ?? 0
    var frame = Plot.Frame()
    frame.height = 220
    var plot = Plot(
      frame, x: .plain(to: Double(last - first + 1)), y: .linear(to: Double(largest), .count),
      xTitle: "size of a batch", yTitle: "batches")
    for index in first...last {
      let place = Double(index - first)
      // Few bars are no wider than many.
      let half = min(0.36, 0.05 * Double(last - first + 1))
      let low = Quantity.bytes.text(Double(UInt64(1) << UInt64(index))),
        high = Quantity.bytes.text(exp2(Double(index + 1)))
      let size = count(sizes, index), earlier = count(before, index)
      if size > 0 {
        plot.bar(
          from: place + 0.5 - half, to: place + 0.5 + half, value: Double(size), class: "c1 f",
          title: "\(low) to less than \(high): \(size)")
        plot.text(
          Quantity.count.text(size), x: plot.xPosition(place + 0.5), y: plot.yPosition(Double(size)) - 4, class: "m d"
        )
      }
      if earlier > 0 {
        plot.bar(
          from: place + 0.45 - half, to: place + 0.55 + half, value: Double(earlier), class: "c6 o",
          title: "\(low) to less than \(high), \(baseName): \(earlier)")
      }
      plot.text(low + "…", x: plot.xPosition(place + 0.5), y: frame.bottom + 17, class: "m")
    }
    return [
      Figure(
        id: "batches", title: "Sizes of write batches", note: "By powers of two.",
        svg: Plot.svg([plot], label: "How many write batches of each size"),
        keys: baseKeys(before.contains { $0 > 0 }))
    ]
  }

  /// Of volumes: batches, and by cause those that went stale. Of devices: requests.
  var counters: [Figure] {
    guard let series = report.counterSeries, !series.rows.isEmpty else { return [] }
    let stale = [("stale after a free", "stale_after_free"), ("stale after an allocation", "stale_after_allocation")]
    let isVolume = series.names.contains("batches")
    let lines =
      isVolume
      ? [("dispatched", "batches", 6)] + stale.enumerated().map { ($1.0, $1.1, $0) }
      : [
        ("requests", "requests", 0), ("merged with another", "merges", 1),
        ("flushes", "flushes", ReportedOperation.fsync.color),
      ]
    let width = Self.shownWidth(of: series, duration)
    let elapsed = run.elapsedNanoseconds
    let curves = lines.compactMap { name, column, color -> (name: String, color: Int, points: [Plot.Point])? in
      guard let place = series.names.firstIndex(of: column) else { return nil }
      var curve = RunCurves.Curve(job: nil, operation: .write, count: 0, byteCount: 0, runtimeNanoseconds: elapsed)
      curve.binNanoseconds = Double(series.binNanoseconds)
      curve.bins = series.rows.map { .init(count: Double($0[place]), byteCount: 0, mean: 0, p99: 0, maximum: 0) }
      return (name, color, rates(RunCurves.coarsened(curve, to: width), elapsed, \.count))
    }
    guard let largest = curves.flatMap({ $0.points.map(\.y) }).max() else { return [] }
    var plot = Plot(
      x: .exact(to: duration, .time), y: .linear(to: largest, .perSecond), xTitle: Self.timeTitle,
      yTitle: isVolume ? "batches" : "requests")
    for curve in curves { plot.line(curve.points, color: curve.color, hasMarkers: true, title: curve.name) }
    addStrips(to: &plot, curves.map { ($0.name, $0.points) }, .perSecond)
    plot.events(faults)
    let title = isVolume ? "Stale batches over time" : "Requests at the devices over time"
    return [
      Figure(
        id: isVolume ? "stale" : "requests", title: title,
        note: (isVolume
          ? "Batches of writeback that were dispatched, and that were discarded and planned again, by cause. " : "")
          + "A point stands for \(Quantity.time.text(width)).",
        svg: Plot.svg([plot], label: "\(title): \(curves.map(\.name).joined(separator: ", "))"),
        keys: curves.map { .init(name: $0.name, color: $0.color, mark: .line(.solid, hasMarker: true)) } + faultKeys)
    ]
  }

  private static func shownWidth(of series: CounterSeries, _ duration: Double) -> Double {
    Double(RunCurves.shownBinWidth(widest: series.binNanoseconds, elapsed: UInt64(min(1e18, duration))))
  }
}
