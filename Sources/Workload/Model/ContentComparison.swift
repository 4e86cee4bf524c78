// Comparing what was read with what a model allows.
internal import Glibc

/// One unit of a file that does not hold what it should.
package struct ContentMismatch: Sendable, Equatable {
  package let file: String
  /// The first byte that differs.
  package let byteOffset: UInt64
  package let expected: String
  package let found: String
}

/// Compares bytes with models, and says what differs in words.
struct ContentComparison {
  let stamp: ContentStamp
  /// The names of all files, by their number in the contents.
  let names: [String]
  /// What a unit should hold is made here.
  private var expectation: [UInt8] = []

  init(stamp: ContentStamp, names: [String]) {
    self.stamp = stamp
    self.names = names
  }

  /// Compares `bytes`, read from `offset` on, with what the model says exactly.
  mutating func compare(_ bytes: [UInt8], at offset: UInt64, with model: FileModel) -> [ContentMismatch] {
    compare(bytes, at: offset, model) { [model.state(of: $0)] }
  }

  /// Compares `bytes` with all that a read could have found.
  mutating func compare(
    _ bytes: [UInt8], at offset: UInt64, with model: FileModel, _ observation: FileModel.Observation
  ) -> [ContentMismatch] {
    compare(bytes, at: offset, model) { observation.candidates[$0 - observation.units.lowerBound] }
  }

  private mutating func compare(
    _ bytes: [UInt8], at offset: UInt64, _ model: FileModel, _ candidates: (Int) -> [UnitState]
  ) -> [ContentMismatch] {
    var mismatches: [ContentMismatch] = []
    let size = model.unitSize
    var index = 0
    while index < bytes.count {
      let position = offset + UInt64(index)
      let unit = Int(position / UInt64(size)), inUnit = Int(position % UInt64(size))
      let count = min(size - inUnit, bytes.count - index)
      let states = candidates(unit)
      let isHeld = states.contains { state in
        firstDifference(bytes, index..<index + count, position, model, state, inUnit) == nil
      }
      if !isHeld, let difference = piecewise(bytes, index..<index + count, position, model, states, inUnit) {
        mismatches.append(describe(bytes, index + difference, position + UInt64(difference), model, states))
      }
      index += count
    }
    return mismatches
  }

  /// A read beside a change may find one piece of a unit before it and another after it. Pieces are 512 bytes: no page
  /// is smaller, and a page is read and changed in one step.
  private mutating func piecewise(
    _ bytes: [UInt8], _ range: Range<Int>, _ position: UInt64, _ model: FileModel, _ states: [UnitState], _ inUnit: Int
  ) -> Int? {
    if states.count == 1 { return firstDifference(bytes, range, position, model, states[0], inUnit) }
    var start = range.lowerBound
    while start < range.upperBound {
      let done = start - range.lowerBound
      let end = min(range.upperBound, start + 512 - (inUnit + done) % 512)
      var differences: [Int] = []
      for state in states {
        guard
          let difference = firstDifference(
            bytes, start..<end, position + UInt64(done), model, state, inUnit + done)
        else {
          differences = []
          break
        }
        differences.append(difference)
      }
      if let furthest = differences.max() { return done + furthest }
      start = end
    }
    return nil
  }

  /// Where `range` of `bytes` first differs from a state of its unit, counted from the range's start; nil: nowhere.
  private mutating func firstDifference(
    _ bytes: [UInt8], _ range: Range<Int>, _ position: UInt64, _ model: FileModel, _ state: UnitState, _ inUnit: Int
  ) -> Int? {
    let count = range.count
    if expectation.count < count { expectation = [UInt8](repeating: 0, count: max(count, model.unitSize)) }
    let stamp = stamp
    // Taken out of `self` for the time of filling, so that it is changed in place.
    var expectation = expectation
    self.expectation = []
    defer { self.expectation = expectation }
    state.forEachPiece(unitSize: model.unitSize) { piece, generation in
      let part = piece.clamped(to: inUnit..<inUnit + count)
      let target = part.lowerBound - inUnit..<part.upperBound - inUnit
      if part.isEmpty { return }
      if generation == UnitState.unknown {
        for index in target { expectation[index] = bytes[range.lowerBound + index] }
      } else {
        stamp.fill(
          &expectation, target, file: model.id, position: position + UInt64(target.lowerBound), generation: generation)
      }
    }
    let isEqual = unsafe bytes.withUnsafeBytes { found in
      unsafe expectation.withUnsafeBytes { expected in
        guard let left = found.baseAddress, let right = expected.baseAddress else { return count == 0 }
        return unsafe memcmp(left + range.lowerBound, right, count) == 0
      }
    }
    if isEqual { return nil }
    return (0..<count).first { bytes[range.lowerBound + $0] != expectation[$0] }
  }

  // MARK: Words

  private func describe(
    _ bytes: [UInt8], _ index: Int, _ position: UInt64, _ model: FileModel, _ states: [UnitState]
  ) -> ContentMismatch {
    let inUnit = Int(position % UInt64(model.unitSize))
    var generations: [UInt32] = []
    for state in states {
      let generation = state.generation(at: inUnit)
      if !generations.contains(generation) { generations.append(generation) }
    }
    let expected = generations.map { generation in
      generation == ContentStamp.zeroes
        ? "zeroes" : "generation \(generation) of \(model.name) at byte \(position)"
    }
    return ContentMismatch(
      file: model.name, byteOffset: position, expected: expected.joined(separator: " or "),
      found: found(bytes, index, position))
  }

  /// Who wrote what was found, as far as it can be told.
  private func found(_ bytes: [UInt8], _ index: Int, _ position: UInt64) -> String {
    // The lane that holds the byte, if it was read whole; else the next one.
    let skip = Int(position % UInt64(ContentStamp.laneByteCount))
    for start in [index - skip, index - skip + ContentStamp.laneByteCount] {
      if let origin = stamp.origin(of: bytes, at: start) {
        let name = Int(origin.file) < names.count ? names[Int(origin.file)] : "file \(origin.file)"
        return "generation \(origin.generation) of \(name) at byte \(origin.byteOffset + UInt64(max(0, index - start)))"
      }
    }
    let some = bytes[index..<min(index + ContentStamp.laneByteCount, bytes.count)]
    if some.allSatisfy({ $0 == 0 }) { return "zeroes" }
    let digits = some.map { byte in
      let text = String(byte, radix: 16)
      return text.utf8.count < 2 ? "0" + text : text
    }
    return "bytes " + digits.joined(separator: " ")
  }
}
