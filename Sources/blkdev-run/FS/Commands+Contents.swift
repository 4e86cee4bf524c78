// cat, put, get, cp: contents.
internal import Ext2
internal import Ext2Format
internal import HostTree
internal import Workload

extension FSCommand {
  static let contents: [FSCommand] = [
    FSCommand(
      name: "cat", usage: "PATH…", summary: "Write contents to standard output.", options: [],
      operandCount: 1...Int.max, access: .reading, run: concatenate),
    FSCommand(
      name: "put", usage: "[-p] HOSTFILE|- [PATH]",
      summary: "Copy a file of this machine to the image, holes kept; -p with owner, permissions and times.",
      options: [.flag("p", "preserve")], operandCount: 1...2, access: .writing, run: put),
    FSCommand(
      name: "get", usage: "[-p] PATH [HOSTFILE|-]",
      summary: "Copy a file of the image to this machine, holes kept; -p with owner, permissions and times.",
      options: [.flag("p", "preserve")], operandCount: 1...2, access: .reading, run: get),
    FSCommand(
      name: "cp", usage: "[-rap] SOURCE… TARGET",
      summary: "Copy within the image; -r trees, -p with owners, permissions and times, -a is -rp with hard links.",
      options: [
        .flag("r", "R", "recursive"), .flag("a", "archive"), .flag("p", "preserve"), .flag("P", "no-dereference"),
      ],
      operandCount: 2...Int.max, access: .writing, run: copy),
    FSCommand(
      name: "fill", usage: "[-a|-o OFFSET] -l LENGTH -s STAMP PATH",
      summary: "Write bytes that the number STAMP and their place in the file determine; -a at the end.",
      options: [.flag("a", "append"), .value("o", "offset"), .value("l", "length"), .value("s", "stamp")],
      operandCount: 1...1,
      access: .writing, run: fill),
  ]

  /// Where a copy of `name` goes: into `target` where that is a directory.
  static func destination(_ target: [UInt8], for name: [UInt8], _ volume: Volume) async -> [UInt8] {
    guard let status = try? await volume.status(of: target), status.type == .directory else { return target }
    return target.appending(name)
  }

  private static func concatenate(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    try await session.forEach(arguments.operands) { path async throws(FSError) in
      try await writeOut(path, session)
    }
  }

  private static func writeOut(_ path: [UInt8], _ session: FSSession) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    let file = try await at(path) { () async throws(Ext2Error) in try await volume.open(path) }
    var offset: UInt64 = 0
    do throws(FSError) {
      while true {
        try session.checkStop()
        let bytes = try await at(path) { () async throws(Ext2Error) in try await file.read(at: offset, count: 1 << 20) }
        if bytes.isEmpty { break }
        try session.output.write(bytes)
        offset += UInt64(bytes.count)
      }
    } catch {
      await file.close()
      throw error
    }
    await file.close()
  }

  private static func put(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let name = arguments.text(0)
    if name == "-" && session.isScript { throw .usage("standard input is the script already") }
    if name == "-" && arguments.operands.count == 1 { throw .usage("where to put what comes from standard input?") }
    let source = try await copying { () async throws(TreeError) in
      name == "-" ? try HostSource.standardInput() : try HostSource(path: arguments.operands[0])
    }
    let volume = try await session.volume(for: .writing)
    let base = name == "-" ? Array("stdin".utf8) : arguments.operands[0].lastName
    let path = await destination(arguments.operands.count > 1 ? arguments.operands[1] : [0x2F], for: base, volume)
    try await session.copyTree { control async throws(TreeError) in
      let copy = TreeImport(
        to: volume, as: session.options.credentials, image: session.image, accessTime: session.options.time, control)
      try await copy.putFile(source, to: path, keepsStatus: arguments.has("p"))
    }
  }

  private static func get(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let path = arguments.operands[0]
    let target = arguments.operands.count > 1 ? arguments.operands[1] : Array(".".utf8)
    if target == Array("-".utf8) { return try await writeOut(path, session) }
    let volume = try await session.volume(for: .reading)
    let hostPath = HostIdentity.isDirectory(target) ? target.appending(path.lastName) : target
    try await session.copyTree { control async throws(TreeError) in
      try await TreeExport(from: volume, control).getFile(
        path, to: hostPath, image: session.image, keepsStatus: arguments.has("p"))
    }
  }

  private static func copy(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    let sources = Array(arguments.operands.dropLast()), target = arguments.operands[arguments.operands.count - 1]
    let isArchive = arguments.has("a"), isRecursive = isArchive || arguments.has("r")
    try await checkTarget(target, of: sources, volume)
    try await session.copyTree { control async throws(TreeError) in
      let copy = VolumeCopy(
        on: volume, as: session.options.credentials, keepsStatus: isArchive || arguments.has("p"), control)
      for source in sources {
        let place = await destination(target, for: source.lastName, volume)
        try await control.attempt { () async throws(TreeError) in
          try await copy.run(
            from: source, to: place, isRecursive: isRecursive, followsLink: !isRecursive && !arguments.has("P"))
        }
      }
    }
  }

  /// Several sources need a directory to go to.
  static func checkTarget(_ target: [UInt8], of sources: [[UInt8]], _ volume: Volume) async throws(FSError) {
    guard sources.count > 1 else { return }
    let status = try await at(target) { () async throws(Ext2Error) in try await volume.status(of: target) }
    if status.type != .directory { throw .failed(TreeError(target, .volume(.notADirectory("")))) }
  }

  private static func fill(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let path = arguments.operands[0]
    let offset = try arguments.byteCount("o")
    if offset != nil && arguments.has("a") { throw .usage("-a and -o exclude each other") }
    guard let length = try arguments.byteCount("l"), let text = arguments.text("s"),
      let stamp: UInt64 = parseNumber(text)
    else { throw .usage("a length (-l) and a number as stamp (-s) are needed") }
    try await withFile(path, creates: true, session) { file async throws(FSError) in
      var start = offset ?? 0
      if arguments.has("a") {
        start = try await at(path) { () async throws(Ext2Error) in try await file.status().byteCount }
      }
      let (end, overflow) = start.addingReportingOverflow(length)
      guard !overflow else { throw .usage("-o and -l: no file is that long") }
      let content = ContentStamp(seed: stamp)
      var position = start
      while position < end {
        try session.checkStop()
        let bytes = content.bytes(Int(min(1 << 20, end - position)), at: position)
        let done = try await at(path) { () async throws(Ext2Error) in try await file.write(bytes, at: position) }
        position += UInt64(done)
      }
    }
  }
}
