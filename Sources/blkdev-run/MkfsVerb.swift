internal import ArgumentParser
internal import BlockDevice
internal import CBlkid
internal import CLinux
internal import DeviceLayers
internal import Ext2Tools
internal import Glibc
internal import HostTree
internal import Logging
internal import SystemPackage
internal import Workload

/// `blkdev-run mkfs`: makes an ext2 volume in a file or on a block device.
struct MkfsVerb: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mkfs", abstract: "Make an ext2 volume, as mke2fs -t ext2 makes it.",
    discussion: """
      What is not told is chosen by size as mke2fs chooses it by its built-in defaults; /etc/mke2fs.conf is not read. \
      The same options, UUID, hash seed and time (E2FSPROGS_FAKE_TIME or SOURCE_DATE_EPOCH, in seconds since 1970) make \
      the same bytes, and without --from-directory the bytes that mke2fs 1.47 makes of them.

      Sizes are bytes, with a suffix k, m, g or t for powers of 1024. Ends with 1 when the volume could not be made, with \
      2 when what was asked for cannot be, with 130 when it is interrupted; a file that it made is then removed.
      """)

  @OptionGroup var options: MkfsOptions
  @Flag(name: [.customShort("F"), .long], help: "Overwrite what looks like a file system or a partition table.")
  var force = false
  @Flag(help: "Reserve room for all bytes of the image, which is sparse otherwise.") var preallocate = false
  @Flag(name: [.customShort("n"), .long], help: "Show what would be made, and write nothing.") var dryRun = false
  @Flag(name: .shortAndLong, help: "Say nothing that is not an error.") var quiet = false
  @Option(
    name: [.customShort("d"), .long],
    help: "Copy what is in this directory into the volume, as fs import does, owners, times and attributes included.")
  var fromDirectory: String?
  @OptionGroup(title: "Layers over the image (their time is virtual: delays cost none)") var layers: LayerOptions
  @Argument(help: "The image file or block device; a file that does not exist needs --size.") var image: String

  func validate() throws {
    if try !layers.description().isEmpty, fromDirectory != nil {
      throw ValidationError("--from-directory (-d) goes without layers: make the volume, then use fs import with them")
    }
  }

  func run() throws {
    // A signal ends it between two groups, so that no half-made file is left behind.
    let interruption = Interruption()
    do {
      try make(interruption)
    } catch let error as ValidationError {
      // What can be told only here is told like an error of the volume, without the usage.
      throw ended(2, error.message)
    } catch let error as MakeError {
      switch error {
      case .unknownFeature(let name): throw ended(2, "--\(error)\(MkfsOptions.hint(name, FeatureSet.knownNames))")
      case .invalid, .tooSmall: throw ended(2, "--\(error)")
      case .bytes: throw ended(1, "\(image): \(error)")
      case .stopped: throw ended(130, "\(image): \(error)")
      }
    } catch let error as DeviceError {
      if case .inUse = error { throw ended(1, "\(error); unmount it, or end who uses it, and try again") }
      throw ended(1, "\(error)")
    } catch let error as VolumeBytesError {
      throw ended(1, "\(image): \(error)")
    }
  }

  private func make(_ interruption: Interruption) throws {
    if let fromDirectory, !HostIdentity.isDirectory(Array(fromDirectory.utf8)) {
      let exists = unsafe access(fromDirectory, F_OK) == 0
      throw ended(1, "\(fromDirectory): \(exists ? "not a directory" : "\(Errno(rawValue: errno))")")
    }
    let exists = unsafe access(image, F_OK) == 0
    var file = exists ? try FileBytes(path: image, isWritable: !dryRun) : nil
    let plan = try VolumePlan(options.makeOptions(for: file))
    if let file, !force { try refuseToOverwrite(file) }
    if !dryRun {
      try write(plan, to: file, interruption)
      // The volume that is mounted to be filled claims the image for itself.
      file = nil
      if let fromDirectory {
        do { try importTree(fromDirectory, interruption) } catch {
          if !exists { _ = unsafe unlink(image) }
          throw error
        }
      }
    }
    if !quiet { print(summary(plan), to: .standardOutput) }
  }

  /// Writes the volume into a file that is there, or into one that it makes, and removes when it fails.
  private func write(_ plan: VolumePlan, to existing: FileBytes?, _ interruption: Interruption) throws {
    var isReserved = true
    if existing == nil {
      isReserved = try FileDevice.createImage(
        path: image, byteCount: plan.options.byteCount, preallocate: preallocate)
    }
    do {
      let bytes = try existing ?? FileBytes(path: image, isWritable: true)
      if bytes.byteCount < plan.options.byteCount { try bytes.grow(to: plan.options.byteCount) }
      let isZeroed = try existing == nil || bytes.discardAll()
      // A block device has all its room.
      if preallocate, existing != nil, bytes.logicalBlockSize == nil { isReserved = try bytes.preallocate() }
      if preallocate, !isReserved {
        print("blkdev-run: \(image): its file system cannot reserve room; the image is sparse", to: .standardError)
      }
      let progress = WorkProgress(isShown: !quiet)
      defer { progress.clear() }
      func show(_ done: UInt32) -> Bool {
        progress.show("\(done) of \(plan.groupCount) groups")
        return !interruption.hasCome
      }
      let description = try layers.description()
      if description.isEmpty {
        try plan.write(to: bytes, isZeroed: isZeroed, writesTables: options.writesTables, progress: show)
        try bytes.synchronize()
      } else {
        let layered = try LayeredImage(description, image: image)
        var isDone = false
        defer { if !isDone { _ = layered.end(isWritable: true) } }
        let target = try layered.bytes(bytes, isWritable: true)
        try plan.write(to: target, isZeroed: isZeroed, writesTables: options.writesTables, progress: show)
        try target.synchronize()
        isDone = true
        if !layered.end(isWritable: true) { throw ArgumentParser.ExitCode(1) }
      }
    } catch {
      if existing == nil { _ = unsafe unlink(image) }
      throw error
    }
  }

  /// Fills the new volume. The first thing that cannot be copied ends it: half a tree is not what was asked for.
  private func importTree(_ directory: String, _ interruption: Interruption) throws {
    cl_raise_descriptor_limit()
    let options = try FSOptions([image, "import", directory].map { Array($0.utf8) })
    let control = RunControl(
      logger: Logger(label: "blkdev-run") { label in StreamLogHandler.standardError(label: label) })
    let status = interruption.wait(for: control) { () async -> Int32 in await runFS(options, control) }
    if status != 0 { throw ArgumentParser.ExitCode(status) }
  }

  /// Ends the command where something would be lost.
  private func refuseToOverwrite(_ file: FileBytes) throws {
    guard file.byteCount > 0 else { return }
    var text = [CChar](repeating: 0, count: 256)
    let result = unsafe cb_signature(image, &text, text.count)
    if result == 0 { return }
    guard result > 0 else { throw ended(1, "\(image): what is on it cannot be told: \(Errno(rawValue: -result))") }
    // A label may hold anything, and this goes to a terminal.
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    let what = String(decoding: bytes.map { $0 < 32 || $0 == 127 ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    throw ended(1, "\(image): contains: \(what); --force (-F) overwrites it")
  }

  private func ended(_ status: Int32, _ message: String) -> ArgumentParser.ExitCode {
    print("blkdev-run: \(message)", to: .standardError)
    return ArgumentParser.ExitCode(status)
  }

  /// What mke2fs tells, on as few lines.
  private func summary(_ plan: VolumePlan) -> String {
    let groups = plan.groupCount == 1 ? "1 group" : "\(plan.groupCount) groups"
    var lines = [
      "\(image): ext2, \(plan.blockCount) blocks of \(plan.blockSize) bytes in \(groups), \(plan.inodeCount) inodes"
    ]
    lines.append("UUID \(plan.options.uuid)")
    let unused = plan.options.byteCount / UInt64(plan.blockSize) - UInt64(plan.blockCount)
    if unused > 0 { lines.append("\(unused) blocks at the end are too few for a group of their own, and not used") }
    let backups = plan.superblockBackups
    if !backups.isEmpty {
      // Without sparse_super each group has one.
      let shown = backups.prefix(64).map { "\($0)" }.joined(separator: ", ") + (backups.count > 64 ? ", …" : "")
      lines.append("superblock backups at blocks \(shown)")
    }
    return lines.joined(separator: "\n")
  }
}
