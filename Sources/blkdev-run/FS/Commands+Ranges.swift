// truncate, fallocate, fsync: parts of files.
internal import Ext2
internal import Ext2Format
internal import HostTree

extension FSCommand {
  static let ranges: [FSCommand] = [
    FSCommand(
      name: "truncate", usage: "[-c] -s [+|-]SIZE PATH…",
      summary: "Set sizes, or change them by so much; make what is missing, unless -c.",
      options: [.flag("c", "no-create"), .value("s", "size")], operandCount: 1...Int.max, access: .writing,
      run: truncate),
    FSCommand(
      name: "fallocate", usage: "[-p|-z|-c|-i] [-n] [-o OFFSET] -l LENGTH PATH",
      summary: "Allocate a range; -p punches a hole, -z makes zeroes, -n keeps the size (-c, -i: not in ext2).",
      options: [
        .flag("p", "punch-hole"), .flag("z", "zero-range"), .flag("c", "collapse-range"), .flag("i", "insert-range"),
        .flag("n", "keep-size"), .value("o", "offset"), .value("l", "length"),
      ], operandCount: 1...1, access: .writing, run: allocate),
    FSCommand(
      name: "fsync", usage: "[-d] PATH…", summary: "Make files durable; -d as fdatasync(2) does.",
      options: [.flag("d", "data")], operandCount: 1...Int.max,
      access: .none, run: synchronizeFiles),
  ]

  /// Runs something on an open file. One that was made for it is taken away again when it fails.
  static func withFile(
    _ path: [UInt8], creates: Bool, _ session: FSSession, _ body: (File) async throws(FSError) -> Void
  ) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    let place = try await copying { () async throws(TreeError) in try await volume.followed(path) }
    let isNew = creates ? try await !exists(place, volume) : false
    let file = try await at(path) { () async throws(Ext2Error) in
      try await volume.open(place, creates ? .create : [], as: session.options.credentials)
    }
    do throws(FSError) {
      try await body(file)
      await file.close()
    } catch {
      await file.close()
      if isNew { try? await volume.unlink(place) }
      throw error
    }
  }

  private static func exists(_ path: [UInt8], _ volume: Volume) async throws(FSError) -> Bool {
    do throws(Ext2Error) { _ = try await volume.status(of: path) } catch {
      if case .notFound = error { return false }
      throw .failed(TreeError(path, .volume(error)))
    }
    return true
  }

  private static func truncate(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    guard let text = arguments.text("s") else { throw .usage("a size (-s) is needed") }
    let sign = text.first.flatMap { "+-".contains($0) ? $0 : nil }
    guard let size = parseByteCount(sign == nil ? text : String(text.dropFirst())) else {
      throw .usage("-s \(text): a number of bytes is wanted, such as 4096, +64K or -1M")
    }
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      let volume = try await session.volume(for: .writing)
      if arguments.has("c"), try await !exists(path, volume) { return }
      try await withFile(path, creates: !arguments.has("c"), session) { file async throws(FSError) in
        try await at(path) { () async throws(Ext2Error) in
          let old = try await file.status().byteCount
          switch sign {
          case "+":
            let (sum, overflow) = old.addingReportingOverflow(size)
            try await file.truncate(to: overflow ? .max : sum)
          case "-": try await file.truncate(to: old - min(old, size))
          default: try await file.truncate(to: size)
          }
        }
      }
    }
  }

  private static func allocate(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    guard ["p", "z", "c", "i"].count(where: arguments.has) <= 1 else {
      throw .usage("-p, -z, -c and -i exclude each other")
    }
    let start = try arguments.byteCount("o") ?? 0
    guard let length = try arguments.byteCount("l") else { throw .usage("a length (-l) is needed") }
    let (end, overflow) = start.addingReportingOverflow(length)
    guard !overflow, length > 0 else { throw .usage("-o \(start) -l \(length): not a range of bytes") }
    var mode: FallocateMode = arguments.has("n") ? .keepSize : []
    if arguments.has("p") {
      // As fallocate(1): a hole implies that the size stays.
      mode = [.punchHole, .keepSize]
    }
    if arguments.has("z") { mode.insert(.zeroRange) }
    if arguments.has("c") { mode.insert(.collapseRange) }
    if arguments.has("i") { mode.insert(.insertRange) }
    let finalMode = mode, path = arguments.operands[0]
    try await withFile(path, creates: !arguments.has("p"), session) { file async throws(FSError) in
      try await at(path) { () async throws(Ext2Error) in try await file.fallocate(finalMode, start..<end) }
    }
  }

  private static func synchronizeFiles(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    // What nothing has changed is durable, so that a volume that is mounted for reading will do.
    let volume = try await session.volume(for: .reading)
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      if arguments.has("d") {
        try await withFile(path, creates: false, session) { file async throws(FSError) in
          try await at(path) { () async throws(Ext2Error) in try await file.synchronizeData() }
        }
      } else {
        try await at(path) { () async throws(Ext2Error) in try await volume.synchronize(path) }
      }
    }
  }
}
