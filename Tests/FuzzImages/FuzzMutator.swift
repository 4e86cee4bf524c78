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
      let old = input.changes[index].mutation
      let field = Field(offset: min(old.offset, base.bytes.count - 8), width: old.width, what: "")
      input.changes[index].mutation = value(for: field, base, &generator) ?? old
    case 9: for flip in base.fields.flips(1, using: &generator) { input.changes.append(.init(mutation: flip)) }
    case 10:
      // A field holds what another one of its width holds: a pointer that is somebody's already.
      let field = anyField(base, &generator), other = anyField(base, &generator)
      var value: UInt64 = 0
      for index in 0..<min(field.width, other.width) {
        value |= UInt64(base.bytes[other.offset + index]) << UInt64(8 * index)
      }
      input.changes.append(
        .init(mutation: Mutation(offset: field.offset, width: field.width, value: value, what: "")))
    case 11:
      let field = anyField(base, &generator)
      let near = min(field.offset & ~511 + generator.below(512), base.bytes.count - 8)
      input.changes.append(
        .init(mutation: Mutation(offset: near, width: 1 + generator.below(8), value: generator.next(), what: "")))
    case 12 where !base.pointers.isEmpty: input.changes.append(circle(base, &generator))
    default:
      if let mutation = value(for: anyField(base, &generator), base, &generator) {
        input.changes.append(.init(mutation: mutation))
      }
    }
  }

  /// The block that a field names, if it names one, full of its own number or of the number of another field: trees
  /// without an end.
  private func circle(_ base: BaseImages.Image, _ generator: inout SeededGenerator) -> FuzzInput.Change {
    func number(_ field: Field) -> Int {
      (0..<4).reduce(0) { $0 | Int(base.bytes[min(field.offset + $1, base.bytes.count - 1)]) << (8 * $1) }
    }
    let blockSizeLog2 = 10 + Int(base.bytes[1024 + 24])
    let pointer = base.pointers[generator.below(base.pointers.count)]
    let block = number(pointer), value = generator.oneIn(3) ? number(anyField(base, &generator)) : block
    let offset = min(block << blockSizeLog2, base.bytes.count - 4)
    return .init(
      mutation: Mutation(offset: offset, width: 4, value: UInt64(value), what: ""), repeatLog2: blockSizeLog2 - 2)
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
