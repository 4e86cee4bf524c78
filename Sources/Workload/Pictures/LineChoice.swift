/// Which lines a plot has: few enough to be told apart, of both runs.
struct LineChoice: Equatable {
  /// The most lines of one run in a plot.
  static let limit = 8

  /// One line: of the run, of the earlier one, or of both.
  struct Line: Equatable {
    var name: String
    var color: Int
    var run: RunCurves.Curve?
    var base: RunCurves.Curve?
  }

  private(set) var lines: [Line] = []
  /// How many curves the last line is the sum of; 0: it is one as the others.
  private(set) var summed = 0

  /// Takes the largest curves; what is left over becomes one line, their sum.
  ///
  /// - Parameter size: by which curves are compared.
  init(_ run: [RunCurves.Curve], _ base: [RunCurves.Curve], by size: (RunCurves.Curve) -> Double) {
    let all = Self.paired(run, base)
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
          name: "\(rest.count) others", color: 0, run: RunCurves.sum(of: rest.compactMap(\.run)),
          base: RunCurves.sum(of: rest.compactMap(\.base))))
    }
    // With one job the operations have the colours that they have everywhere.
    let jobs = Set(all.map { $0.run?.job ?? $0.base?.job })
    for index in lines.indices {
      let operation = lines[index].run?.operation ?? lines[index].base?.operation
      lines[index].color = jobs.count == 1 && summed == 0 ? (operation?.index ?? index) % Self.limit : index
      if jobs.count == 1, let operation { lines[index].name = operation.label }
    }
  }

  /// Curves of the same job and operation side by side; of several with one name, the first with the first.
  private static func paired(_ run: [RunCurves.Curve], _ base: [RunCurves.Curve]) -> [Line] {
    var result: [Line] = []
    var places: [String: Int] = [:]
    func keys(_ curves: [RunCurves.Curve]) -> [(String, RunCurves.Curve)] {
      var counts: [String: Int] = [:]
      return curves.map { curve in
        let name = (curve.job.map { Markup.shortened($0) + ": " } ?? "") + curve.operation.label
        let full = (curve.job ?? "") + "\0" + curve.operation.rawValue
        let count = (counts[full] ?? 0) + 1
        counts[full] = count
        return (count == 1 ? name : "\(name) (\(count))", curve)
      }
    }
    for (name, curve) in keys(run) {
      // Shortened names may meet.
      if places[name] == nil { places[name] = result.count }
      result.append(Line(name: name, color: 0, run: curve))
    }
    for (name, curve) in keys(base) {
      if let place = places[name], result[place].base == nil {
        result[place].base = curve
      } else {
        result.append(Line(name: name, color: 0, base: curve))
      }
    }
    return result
  }
}

extension ReportedOperation {
  /// In words.
  var label: String { self == .writeZeroes ? "write zeroes" : rawValue }
}
