internal import ArgumentParser
internal import BlockDevice
internal import CLinux
internal import DeviceLayers
internal import Ext2Tools
internal import Glibc
internal import SystemPackage

/// `blkdev-run check`: checks an ext2 volume in a file or on a block device, and mends it where it is asked to.
struct CheckVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check an ext2 volume, as e2fsck -fn does, or mend it.",
    discussion: """
      Nothing is written without --repair, which mends what e2fsck -p mends without asking, and no more. Where \
      something is left that a person has to decide about, nothing at all is changed.

      Ends with 0 when the volume is clean, with 1 when it was repaired, with 4 when something is wrong with it, with 8 \
      when it is no ext2 volume, cannot be read, or has features that are not checked here (the message names them), or \
      when what was found could not be printed, with 2 when what was asked for cannot be, with 130 when a repair is \
      interrupted before it writes.
      """)

  enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case normal, json
  }

  @Flag(help: "Mend what can be mended without asking.") var repair = false
  @Option(help: "What is printed: lines for people, or one JSON document.") var outputFormat = OutputFormat.normal
  @Option(help: ArgumentHelp("How many findings to print; what is found beyond is counted.", valueName: "number"))
  var show = 100
  @Option(
    name: [.customShort("b"), .long],
    help: ArgumentHelp("The block of a copy of the superblock to use instead of the primary one.", valueName: "block"))
  var superblock: UInt32?
  @Option(
    name: [.customShort("B"), .long], help: "Bytes of a block, to go with --superblock; all are tried otherwise.",
    transform: bytes)
  var blockSize: UInt64?
  @OptionGroup(title: "Layers over the image (their time is virtual: delays cost none)") var layers: LayerOptions
  @Argument(help: "The image file or block device.") var image: String

  func validate() throws {
    guard show >= 0 else { throw ValidationError("--show: \(show) is less than nothing") }
    if let blockSize {
      guard superblock != nil else { throw ValidationError("--block-size (-B) goes with --superblock (-b)") }
      guard (1024...65536).contains(blockSize), blockSize.nonzeroBitCount == 1 else {
        throw ValidationError("--block-size: \(blockSize) is not a power of two from 1k to 64k")
      }
    }
    if repair && superblock != nil {
      throw ValidationError("--repair works from the primary superblock; e2fsck can replace it by a copy")
    }
    _ = try layers.description()
    // Where the environment's time is none, that is said before the image is opened.
    if repair { _ = try GivenTime.seconds() }
  }

  func run() throws {
    // Who reads the output may go away (`| head`).
    cl_ignore_pipe_signal()
    // A signal ends a repair before it writes or not at all.
    let interruption = repair ? Interruption() : nil
    let report = CheckPrinter(image: image, format: outputFormat)
    do {
      let file = try FileBytes(path: image, isWritable: repair)
      if !repair, let user = file.user {
        print("blkdev-run: \(image) is in use by \(user): what is found may be wrong", to: .standardError)
      }
      let progress = WorkProgress(isShown: true)
      defer { progress.clear() }
      let show: (Double) -> Void = { done in
        if interruption?.hasCome == true {
          progress.clear()
          _exit(130)
        }
        progress.show("\(Int(done * 100)) %")
      }
      let description = try layers.description()
      if description.isEmpty {
        try perform(file, report, progress, show)
      } else {
        let layered = try LayeredImage(description, image: image)
        do { try perform(try layered.bytes(file, isWritable: repair), report, progress, show) } catch {
          _ = layered.end(isWritable: repair)
          throw error
        }
        if !layered.end(isWritable: repair) { throw ArgumentParser.ExitCode(8) }
      }
    } catch let failure as CheckFailure {
      try report.end(failure)
    } catch let error as DeviceError {
      try report.end("\(error)")
    } catch let error as ValidationError {
      // What can be told only here is told like an error of the image, without the usage.
      try report.end(error.message)
    } catch let error as VolumeBytesError {
      try report.end("\(image): \(error)")
    }
  }

  private func perform(
    _ file: any VolumeBytes, _ report: CheckPrinter, _ progress: WorkProgress, _ show: @escaping (Double) -> Void
  ) throws {
    var options = VolumeChecker.Options()
    options.superblock = superblock
    options.blockSize = blockSize.map { Int($0) }
    options.keptFindings = self.show
    let checker = VolumeChecker()
    if repair {
      let outcome = try checker.repair(
        file, options: options, time: UInt32(clamping: GivenTime.secondsOrNow()), progress: show)
      progress.clear()
      try report.end(outcome)
    } else {
      let result = try checker.check(file, options: options, progress: show)
      progress.clear()
      try report.end(result)
    }
  }
}
