internal import BlockDevice
internal import Ext2Tools
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
  /// When the judge is to believe that it is: simulated runs have a clock of their own.
  private let seconds: Int64?

  /// The calendar clock of simulated runs begins here, and every scratch image was made then.
  private static let beginningSeconds: Int64 = 1_767_225_600

  /// Finds the judge, and a place for the scratch image if there is to be one, which `make` makes.
  init(_ plan: WorkloadPlan) throws(RunError) {
    let engine = plan.jobs[0].engine
    guard ExternalTool("e2fsck") != nil else { throw .missingTool("e2fsck") }
    seconds = engine == .simulated ? Self.beginningSeconds : nil
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
    let byteCount = plan.scratchImageBytes ?? 0
    let volume: VolumePlan
    // Before a file is there: not every size can be a volume.
    do { volume = try VolumePlan(Self.volumeOptions(byteCount, seed: plan.jobs[0].randomSeed ?? 0)) } catch {
      throw .scratchVolume(error)
    }
    let file: FileBytes
    do {
      try FileDevice.createImage(path: path, byteCount: byteCount, preallocate: plan.jobs[0].engine == .libaio)
      file = try FileBytes(path: path, isWritable: true)
    } catch { throw .scratchImage(error) }
    do { try volume.write(to: file, isZeroed: true) } catch { throw .scratchVolume(error) }
  }

  /// Its size, in bytes.
  func byteCount() throws(RunError) -> UInt64 {
    do { return try HostFile.byteCount(of: path) } catch { throw path == judgedPath ? error : error.ofNamedFile }
  }

  /// An ext2 volume of 4 KiB blocks, the same for the same seed.
  private static func volumeOptions(_ byteCount: UInt64, seed: UInt64) -> MakeOptions {
    var generator = SeededGenerator(seed: seed)
    var options = MakeOptions(
      byteCount: byteCount, uuid: .random(using: &generator), hashSeed: .random(using: &generator),
      seconds: beginningSeconds)
    options.blockSize = 4096
    return options
  }

  /// What `e2fsck -fn` says of the image.
  func check() throws(RunError) -> ExternalTool.Outcome {
    guard let tool = ExternalTool("e2fsck") else { throw .missingTool("e2fsck") }
    let arguments = ["-fn", judgedPath]
    let outcome: ExternalTool.Outcome?
    if let seconds, let environment = ExternalTool("env") {
      // It calls times of the future damage.
      outcome = environment.run(["E2FSCK_TIME=\(seconds + 86_400)", tool.path] + arguments)
    } else {
      outcome = tool.run(arguments)
    }
    guard let outcome else { throw .toolFailed("e2fsck", exitCode: 127, output: "it could not be started") }
    return outcome
  }

  /// Removes what was made for the run.
  func remove() {
    if let folder { HostFile.remove(folder: folder, files: [judgedPath]) }
  }
}
