/// Which lines a plot has: few enough to be told apart, of both runs.
struct LineChoice: Equatable {
  /// The most lines of one run in a plot.
  static let limit = 8
  /// The colour, a grey, of a line that stands for no operation of its own.
  static let neutralColor = 6

  /// One line: of the run, of the earlier one, or of both.
  struct Line: Equatable {
    var name: String
    /// Another one, and with it another marker, than every other line of the plot.
    var color: Int
    var run: RunCurves.Curve?
    var base: RunCurves.Curve?

    fileprivate var curve: RunCurves.Curve? { run ?? base }
  }

  private(set) var lines: [Line] = []
  /// How many curves the last line is the sum of; 0: it is one as the others.
  private(set) var summed = 0

  /// Takes the largest curves; what is left over becomes one line, their sum.
  ///
  /// - Parameter size: by which curves are compared.
  init(_ run: [RunCurves.Curve], _ base: [RunCurves.Curve], by size: (RunCurves.Curve) -> Double) {
    let all = Self.named(Self.paired(run, base))
    func largest(_ line: Line) -> Double { max(line.run.map(size) ?? 0, line.base.map(size) ?? 0) }
    if all.count <= Self.limit {
      lines = all
    } else {
      let ranked = all.indices.sorted { (largest(all[$0]), $1) > (largest(all[$1]), $0) }
      // In the order of the report, not by size.
      let kept = Set(ranked.prefix(Self.limit - 1))
      lines = all.indices.filter(kept.contains).map { all[$0] }
      let rest = all.indices.filter { !kept.contains($0) }.map { all[$0] }
      summed = rest.count
      lines.append(
        Line(
          name: "\(rest.count) others", color: Self.neutralColor, run: RunCurves.sum(of: rest.compactMap(\.run)),
          base: RunCurves.sum(of: rest.compactMap(\.base))))
    }
    color(Set(all.compactMap { $0.curve?.operation.color }))
  }

  /// The first line of each operation has the colour that the operation has in every plot, the others have what is left.
  ///
  /// - Parameter operations: the colours of all operations here, which no other line is to have as long as there are more.
  private mutating func color(_ operations: Set<Int>) {
    let ownCount = lines.count - (summed > 0 ? 1 : 0)
    var free = (0..<Self.limit).filter { $0 != Self.neutralColor }
    if summed == 0 { free.append(Self.neutralColor) }
    var waiting: [Int] = []
    for index in 0..<ownCount {
      if let place = free.firstIndex(where: { $0 == lines[index].curve?.operation.color }) {
        lines[index].color = free.remove(at: place)
      } else {
        waiting.append(index)
      }
    }
    let spare = free.filter { !operations.contains($0) } + free.filter(operations.contains)
    for (index, color) in zip(waiting, spare) { lines[index].color = color }
  }

  /// Curves of the same job and operation side by side; of several of one job's name, the first with the first.
  private static func paired(_ run: [RunCurves.Curve], _ base: [RunCurves.Curve]) -> [Line] {
    struct Key: Hashable {
      var job: String?
      var operation: ReportedOperation
      var number: Int
    }
    func keys(_ curves: [RunCurves.Curve]) -> [(Key, RunCurves.Curve)] {
      var counts: [Key: Int] = [:]
      return curves.map { curve in
        var key = Key(job: curve.job, operation: curve.operation, number: 0)
        counts[key, default: 0] += 1
        key.number = counts[key] ?? 1
        return (key, curve)
      }
    }
    var result: [Line] = []
    var places: [Key: Int] = [:]
    for (key, curve) in keys(run) {
      places[key] = result.count
      result.append(Line(name: "", color: 0, run: curve))
    }
    for (key, curve) in keys(base) {
      if let place = places[key] {
        result[place].base = curve
      } else {
        result.append(Line(name: "", color: 0, base: curve))
      }
    }
    return result
  }

  /// The same with names of which none is there twice: copies have the names of their jobs, and shortened names may meet.
  private static func named(_ lines: [Line]) -> [Line] {
    // With one job the operation says it all.
    let hasJobs = Set(lines.map { $0.curve?.job }).count > 1
    var counts: [String: Int] = [:]
    return lines.map { line in
      var line = line
      let job = hasJobs ? line.curve?.job.map { Markup.shortened($0) + ": " } : nil
      line.name = (job ?? "") + (line.curve?.operation.label ?? "")
      let count = (counts[line.name] ?? 0) + 1
      counts[line.name] = count
      if count > 1 { line.name += " (\(count))" }
      return line
    }
  }
}

extension ReportedOperation {
  /// In words.
  var label: String { self == .writeZeroes ? "write zeroes" : rawValue }

  /// The number of its colour. Operations on devices and on volumes are never in one run.
  var color: Int {
    switch self {
    case .read: 0
    case .write: 1
    case .trim, .truncate: 2
    case .writeZeroes, .create: 3
    case .fsync: 4
    case .unlink: 5
    case .rename: 7
    }
  }
}
