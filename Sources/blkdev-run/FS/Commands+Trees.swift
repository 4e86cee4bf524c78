// import and export: trees of files.
internal import Ext2
internal import HostTree

extension FSCommand {
  static let trees: [FSCommand] = [
    FSCommand(
      name: "import", usage: "HOSTDIR [PATH]",
      summary: "Copy what is in HOSTDIR into PATH (default /), made if missing, with owners, times, holes, hard links.",
      options: [], operandCount: 1...2, access: .writing, run: importTree),
    FSCommand(
      name: "export", usage: "PATH HOSTDIR|-",
      summary: "Copy what is in PATH into HOSTDIR likewise; - writes a tar stream to standard output.",
      options: [], operandCount: 2...2, access: .reading, run: exportTree),
  ]

  private static func importTree(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .writing)
    let path = arguments.operands.count > 1 ? arguments.operands[1] : [UInt8(ascii: "/")]
    try await session.copyTree { control async throws(TreeError) in
      try await TreeImport(
        to: volume, as: session.options.credentials, image: session.image, accessTime: session.options.time, control
      )
      .run(from: arguments.operands[0], to: path)
    }
  }

  private static func exportTree(_ session: FSSession, _ arguments: VerbArguments) async throws(FSError) {
    let volume = try await session.volume(for: .reading)
    let path = arguments.operands[0], target = arguments.operands[1]
    try session.output.flush()
    try await session.copyTree { control async throws(TreeError) in
      if target == Array("-".utf8) {
        try await TarExport(from: volume, to: session.output.file, control).run(from: path)
      } else {
        try await TreeExport(from: volume, control).run(from: path, to: target)
      }
    }
  }
}
