import Ext2Tools
import Reactor
import Support

/// Makes inputs of other inputs, knowing where the fields of a volume lie and which values hurt.
struct FuzzMutator {
  /// Changes of one input at most.
  static let changeLimit = 40

  let bases: BaseImages

  /// - Parameter changeBytes: libFuzzer's own changes to some bytes.
  func mutate(
    _ bytes: [UInt8], limit: Int, seed: UInt64, _ changeBytes: (_ bytes: [UInt8], _ limit: Int) -> [UInt8]
  ) -> [UInt8] {
    var generator = SeededGenerator(seed: seed)
    if bytes.count < FuzzInput.headerByteCount { return Array(fresh(&generator).bytes.prefix(limit)) }
    var input = FuzzInput(bytes)
    if input.isImage || generator.oneIn(16) { return changeBytes(bytes, limit) }
    let base = bases.image(withHash: input.base)
    for _ in 0..<1 + generator.below(3) { change(&input, base, &generator) }
    let room = (limit - FuzzInput.headerByteCount) / FuzzInput.changeByteCount
    input.changes = Array(input.changes.suffix(max(0, min(room, Self.changeLimit))))
    return Array(input.bytes.prefix(limit))
  }

  private func fresh(_ generator: inout SeededGenerator) -> FuzzInput {
    var input = FuzzInput()
    input.base = bases.any(using: &generator).hash
    input.seed = UInt16(truncatingIfNeeded: generator.next())
    input.options = UInt8(truncatingIfNeeded: generator.next())
    return input
  }

  private func change(_ input: inout FuzzInput, _ base: BaseImages.Image, _ generator: inout SeededGenerator) {
    switch generator.below(20) {
    case 0: input.seed = UInt16(truncatingIfNeeded: generator.next())
    case 1: input.options = UInt8(truncatingIfNeeded: generator.next())
    // The same places of another image are other fields.
    case 2: input = fresh(&generator)
    case 3...5 where !input.changes.isEmpty: input.changes.remove(at: generator.below(input.changes.count))
    case 6...8 where !input.changes.isEmpty:
      // Another value at the same place.
      let index = generator.below(input.changes.count)
      let old = input.changes[index]
      let field = Field(offset: min(old.offset, base.bytes.count - 8), width: old.width, what: "")
      input.changes[index] = value(for: field, base, &generator) ?? old
    case 9: input.changes += base.fields.flips(1, using: &generator)
    case 10:
      // A field holds what another one of its width holds: a pointer that is somebody's already.
      let field = anyField(base, &generator), other = anyField(base, &generator)
      var value: UInt64 = 0
      for index in 0..<min(field.width, other.width) {
        value |= UInt64(base.bytes[other.offset + index]) << UInt64(8 * index)
      }
      input.changes.append(Mutation(offset: field.offset, width: field.width, value: value, what: ""))
    case 11:
      let field = anyField(base, &generator)
      let near = min(field.offset & ~511 + generator.below(512), base.bytes.count - 8)
      input.changes.append(Mutation(offset: near, width: 1 + generator.below(8), value: generator.next(), what: ""))
    default:
      if let change = value(for: anyField(base, &generator), base, &generator) { input.changes.append(change) }
    }
  }

  private func anyField(_ base: BaseImages.Image, _ generator: inout SeededGenerator) -> Field {
    base.fields.fields[generator.below(base.fields.fields.count)]
  }

  private func value(
    for field: Field, _ base: BaseImages.Image, _ generator: inout SeededGenerator
  ) -> Mutation? {
    base.fields.mutations(of: field, using: &generator).randomElement(using: &generator)
  }
}
