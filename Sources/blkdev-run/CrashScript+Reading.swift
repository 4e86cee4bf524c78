internal import ArgumentParser
internal import Ext2
internal import FaultLab
internal import Glibc
internal import HostTree
internal import Logging
internal import SystemPackage
internal import Workload

extension CrashScript {
  /// Reads a script of the verbs of `blkdev-run fs`; `-` is standard input.
  ///
  /// - Throws: `usage` for a line that is none, `failed` for a file that cannot be read.
  static func read(_ path: String) throws(FSError) -> CrashScript { try parse(try lines(of: path), path) }

  /// The operations of the jobs of a file, and how many files and bytes in them there are.
  ///
  /// - Throws: `usage` for jobs that are none for this, `failed` for a file that cannot be read.
  static func read(
    jobs path: String, seed: UInt64
  ) throws(FSError) -> (script: CrashScript, fileCount: Int, fileBytes: UInt64) {
    let bytes = Array(try lines(of: path).joined(separator: [UInt8(ascii: "\n")]))
    let text = String(decoding: bytes, as: UTF8.self)
    let plan: WorkloadPlan, script: JobScript
    do {
      plan = try WorkloadPlan(RunArguments([path]), files: [JobFile(path: path, text: text, jobFileSurroundings)])
        .seeded(with: seed)
    } catch { throw .usage("\(error)") }
    do { script = try JobScript(plan) } catch { throw .usage("\(path): \(error)") }
    return (try parse(script.lines.map { Array($0.utf8) }, path), plan.fileCount, plan.fileBytes)
  }

  private static func parse(_ lines: [[UInt8]], _ path: String) throws(FSError) -> CrashScript {
    var steps: [CrashStep] = []
    let options = try FSOptions([Array("crash".utf8), Array("-".utf8)])
    for (index, line) in lines.enumerated() {
      let words: [[UInt8]]
      do { words = try ShellWords.split(line) } catch { throw .usage("\(path):\(index + 1): \(error)") }
      guard let name = words.first else { continue }
      do throws(FSError) {
        let command = try FSCommand.named(name)
        let arguments = try command.parse(Array(words.dropFirst()))
        if command.name == "remount" { throw .usage("remount: the volume stays mounted while its power is cut") }
        steps.append(step(String(decoding: line, as: UTF8.self), words, command, arguments, options))
      } catch {
        if case .usage(let text) = error { throw .usage("\(path):\(index + 1): \(text)") }
        throw error
      }
    }
    return CrashScript(steps)
  }

  private static func step(
    _ line: String, _ words: [[UInt8]], _ command: FSCommand, _ arguments: VerbArguments, _ options: FSOptions
  ) -> CrashStep {
    let persistence: [Persistence] =
      switch command.name {
      case "sync": [.everything]
      case "fsync": arguments.operands.map { .file($0, dataOnly: arguments.has("d")) }
      default: []
      }
    return CrashStep(line, persistence) { volume in
      let control = RunControl(logger: Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() })
      try await FSCommand.run(words, in: FSSession(on: volume, options, control))
    }
  }

  private static func lines(of path: String) throws(FSError) -> [[UInt8]] {
    let text = Array(path.utf8)
    var bytes: [UInt8] = []
    do {
      let file =
        path == "-" ? FileDescriptor.standardInput : try FileDescriptor.open(FilePath(path), .readOnly)
      defer { if path != "-" { try? file.close() } }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      while case let count = try unsafe chunk.withUnsafeMutableBytes({ try unsafe file.read(into: $0) }), count > 0 {
        bytes += chunk[..<count]
        if bytes.count > 16 << 20 { throw Errno.fileTooLarge }
      }
    } catch { throw .failed(TreeError(text, .host(step: "read", error as? Errno ?? .ioError))) }
    return bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
  }
}

/// Where an exploration goes on: a line that says what it was, and the number of the next case.
enum CrashResume {
  /// The next case; 0 where there is no such file yet.
  static func read(_ path: String, for verb: CrashVerb) throws -> Int {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count: Int
    do {
      let descriptor = try FileDescriptor.open(FilePath(path), .readOnly)
      defer { try? descriptor.close() }
      count = try unsafe bytes.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }
    } catch Errno.noSuchFileOrDirectory { return 0 } catch {
      throw ValidationError("--resume \(path): cannot be read: \(error)")
    }
    let lines = String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
    guard lines.count == 2, let next: Int = parseNumber(String(lines[1])), next >= 0 else {
      throw ValidationError("--resume \(path): not a file that blkdev-run crash has written")
    }
    guard lines[0] == verb.command else {
      throw ValidationError("--resume \(path): it belongs to another run: \(lines[0])")
    }
    return next
  }

  /// Writes it beside and renames it, so that whoever is cut off leaves the old one.
  static func write(_ path: String, _ next: Int, for verb: CrashVerb) throws {
    let beside = path + ".new"
    do {
      let file = try FileDescriptor.open(
        FilePath(beside), .writeOnly, options: [.create, .truncate],
        permissions: .ownerReadWrite.union([.groupRead, .otherRead]))
      try file.closeAfter { _ = try file.writeAll(Array("\(verb.command)\n\(next)\n".utf8)) }
      guard unsafe rename(beside, path) == 0 else { throw Errno(rawValue: errno) }
    } catch { throw ValidationError("--resume \(path): cannot be written: \(error)") }
  }
}
