internal import BlockDevice
internal import Glibc
internal import Reactor

/// The image file of a run on a volume: the user's, or a scratch image made for the run; and its judge.
struct VolumeImage: Sendable {
  /// The image's path on this machine. Devices in memory are loaded from it and, for the judge, stored to it again.
  let path: String
  /// The folder of a scratch image; nil for the user's own.
  private let folder: String?
  /// The path that the judge looks at: another than `path` when the device's bytes are not in that file.
  let judgedPath: String
  /// When the tools are to believe that it is: simulated runs have a clock of their own.
  private let seconds: Int64?

  /// The calendar clock of simulated runs begins here.
  private static let simulatedSeconds: Int64 = 1_767_225_600

  /// Finds the tools, and a place for the scratch image if there is to be one, which `make` makes.
  init(_ plan: WorkloadPlan) throws(RunError) {
    let engine = plan.jobs[0].engine
    for tool in ["mke2fs", "e2fsck"] where ExternalTool(tool) == nil { throw .missingTool(tool) }
    seconds = engine == .simulated ? Self.simulatedSeconds : nil
    if let path = plan.volume?.image, engine == .libaio {
      self.path = path
      folder = nil
      judgedPath = path
      return
    }
    let folder = try HostFile.makeFolder()
    self.folder = folder
    judgedPath = "\(folder)/volume.img"
    path = plan.volume?.image ?? judgedPath
  }

  /// Makes the scratch image, if there is to be one. Who called it removes what is left when it throws.
  func make(_ plan: WorkloadPlan) throws(RunError) {
    guard plan.volume?.image == nil else { return }
    do {
      try FileDevice.createImage(
        path: path, byteCount: plan.scratchImageBytes ?? 0, preallocate: plan.jobs[0].engine == .libaio)
    } catch { throw .scratchImage(error) }
    try makeVolume(seed: plan.jobs[0].randomSeed ?? 0)
  }

  /// Its size, in bytes.
  func byteCount() throws(RunError) -> UInt64 {
    do { return try HostFile.byteCount(of: path) } catch { throw path == judgedPath ? error : error.ofNamedFile }
  }

  /// An ext2 volume of 4 KiB blocks, the same for the same seed. Without discards: they would undo the preallocation.
  private func makeVolume(seed: UInt64) throws(RunError) {
    var generator = SeededGenerator(seed: seed)
    let volume = Self.uuid(&generator), hash = Self.uuid(&generator)
    let outcome = try run(
      "mke2fs", ["-q", "-F", "-t", "ext2", "-b", "4096", "-U", volume, "-E", "hash_seed=\(hash),nodiscard", path])
    guard outcome.exitCode == 0 else {
      throw .toolFailed("mke2fs", exitCode: outcome.exitCode, output: outcome.output)
    }
  }

  private static func uuid(_ generator: inout SeededGenerator) -> String {
    func hexadecimal(_ digits: Int) -> String {
      let text = String(generator.next() >> UInt64(64 - 4 * digits), radix: 16)
      return String(repeating: "0", count: digits - text.utf8.count) + text
    }
    // Version 4, variant 1 (RFC 9562), as random ones are.
    return "\(hexadecimal(8))-\(hexadecimal(4))-4\(hexadecimal(3))-8\(hexadecimal(3))-\(hexadecimal(12))"
  }

  /// What `e2fsck -fn` says of the image.
  func check() throws(RunError) -> ExternalTool.Outcome { try run("e2fsck", ["-fn", judgedPath]) }

  private func run(_ name: String, _ arguments: [String]) throws(RunError) -> ExternalTool.Outcome {
    guard let tool = ExternalTool(name) else { throw .missingTool(name) }
    let outcome: ExternalTool.Outcome?
    if let seconds, let environment = ExternalTool("env") {
      // e2fsck calls times of the future damage.
      outcome = environment.run(
        ["E2FSPROGS_FAKE_TIME=\(seconds)", "E2FSCK_TIME=\(seconds + 86_400)", tool.path] + arguments)
    } else {
      outcome = tool.run(arguments)
    }
    guard let outcome else { throw .toolFailed(name, exitCode: 127, output: "it could not be started") }
    return outcome
  }

  /// Removes what was made for the run.
  func remove() {
    if let folder { HostFile.remove(folder: folder, files: [judgedPath]) }
  }
}
