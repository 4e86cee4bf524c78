// sync, remount, mark, trim, label, uuid: the whole volume.
internal import Ext2
internal import HostTree

extension FSCommand {
  static let wholeVolume: [FSCommand] =
    [
      FSCommand(
        name: "sync", usage: "", summary: "Make everything durable.", options: [], operandCount: 0...0, access: .none,
        run: synchronize),
      FSCommand(
        name: "remount", usage: "", summary: "Unmount and mount again, with nothing in memory.", options: [],
        operandCount: 0...0, access: .none, run: { session, _ async throws(FSError) in try await session.remount() }),
      FSCommand(
        name: "mark", usage: "TEXT",
        summary: "Set a mark in the write log behind what has reached the device; what is not synced has not.",
        options: [], operandCount: 1...1, access: .none,
        run: { session, arguments async throws(FSError) in try session.mark(arguments.text(0)) }),
      FSCommand(
        name: "trim", usage: "[-m SIZE]", summary: "Tell the device which blocks are free; -m leaves shorter runs out.",
        options: [.value("m", "minimum")], operandCount: 0...0, access: .writing, run: trim),
      FSCommand(
        name: "label", usage: "[TEXT]", summary: "Print the volume's label, or set it (16 bytes at most).", options: [],
        operandCount: 0...1, access: .writing, run: label),
      FSCommand(
        name: "uuid", usage: "[UUID|random|clear]", summary: "Print the volume's UUID, or set it.", options: [],
        operandCount: 0...1, access: .writing, run: uuid),
    ] + dumping

  private static func image(_ session: FSSession) -> [UInt8] { Array(session.options.image.utf8) }

  private static func synchronize(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    try await at(image(session)) { () async throws(Ext2Error) in try await volume.synchronize() }
  }

  private static func trim(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let minimum = try arguments.byteCount("m") ?? 0
    let volume = try await session.volume(for: .writing)
    let count = try await at(image(session)) { () async throws(Ext2Error) in
      try await volume.trim(minimumByteCount: minimum)
    }
    try session.output.line("\(count) bytes trimmed")
  }

  private static func label(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    guard let label = arguments.operands.first else {
      return try session.output.line(await (try await session.volume(for: .reading)).statistics.label)
    }
    guard label.count <= 16 else { throw .usage("a label has 16 bytes at most, this one \(label.count)") }
    let volume = try await session.volume(for: .writing)
    try await at(image(session)) { () async throws(Ext2Error) in
      try await volume.setLabel(String(decoding: label, as: UTF8.self))
    }
  }

  private static func uuid(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    guard !arguments.operands.isEmpty else {
      return try session.output.line(uuidText(await (try await session.volume(for: .reading)).statistics.uuid))
    }
    let bytes: [UInt8]
    switch arguments.text(0) {
    case "clear": bytes = [UInt8](repeating: 0, count: 16)
    case "random":
      var random = (0..<16).map { _ in UInt8.random(in: 0...255) }
      // Version 4, variant 1 (RFC 9562).
      random[6] = random[6] & 0x0F | 0x40
      random[8] = random[8] & 0x3F | 0x80
      bytes = random
    case let text:
      let digits = text.split(separator: "-").joined()
      let pairs = stride(from: 0, to: digits.utf8.count, by: 2).compactMap { index in
        UInt8(digits.dropFirst(index).prefix(2), radix: 16)
      }
      guard uuidText(pairs).lowercased() == text.lowercased(), pairs.count == 16 else {
        throw .usage("\(text): a UUID is wanted, such as 4d2c2a1e-0000-4000-8000-000000000001, or random, or clear")
      }
      bytes = pairs
    }
    let volume = try await session.volume(for: .writing)
    try await at(image(session)) { () async throws(Ext2Error) in try await volume.setUUID(bytes) }
  }
}
