/// The candidate that needs the fewest edits to become `name`, or nil when none is near enough to be what was meant.
///
/// Edits are insertions, deletions, replacements and swaps of neighbours (optimal string alignment); capitals count as
/// small letters, and a dash as an underscore. Near enough is a third of the name's length, and at least one; among equals
/// the first candidate wins, so the answer is repeatable.
package func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
  // No option is that long, and the time to compare grows with the product of the lengths.
  guard name.utf8.count <= 64 else { return nil }
  let limit = max(1, name.utf8.count / 3)
  let name = folded(name)
  var best: (name: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(name, folded(candidate))
    if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  return best?.name
}

/// The name without differences that nobody means.
private func folded(_ name: String) -> String { String(name.lowercased().map { $0 == "-" ? "_" : $0 }) }

/// The number of edits between two names.
private func editDistance(_ first: String, _ second: String) -> Int {
  let a = Array(first.utf8)
  let b = Array(second.utf8)
  var previous: [Int] = []
  var above = Array(0...b.count)
  for row in a.indices {
    var current = [row + 1]
    for column in b.indices {
      let replaced = above[column] + (a[row] == b[column] ? 0 : 1)
      var cost = min(replaced, above[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, a[row] == b[column - 1], a[row - 1] == b[column] {
        cost = min(cost, previous[column - 1] + 1)
      }
      current.append(cost)
    }
    previous = above
    above = current
  }
  return above[b.count]
}
