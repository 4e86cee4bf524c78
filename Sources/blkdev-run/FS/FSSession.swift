internal import BlockDevice
internal import CLinux
internal import DeviceLayers
internal import Ext2
internal import Glibc
internal import HostTree
internal import Reactor
internal import SystemPackage
internal import Workload

/// One use of an image: its options, the volume once a verb needs it, and what was printed.
///
/// The volume is mounted for reading until a verb wants to change it: what only looks writes nothing, and works on an image
/// that may not be written. Confined to the command's task.
final class FSSession {
  /// What a verb does with the volume.
  enum Access {
    /// It needs no volume, or the one that is there.
    case none
    case reading
    case writing
  }

  let options: FSOptions
  let control: RunControl
  let output: FSOutput
  /// Which file the image is, so that it is not copied into itself.
  let image: HostIdentity?
  /// Whether the words come from standard input, which then is not a file to read.
  let isScript: Bool
  /// Where verbs run.
  let reactor: Reactor
  /// Whether the volume is somebody else's, who unmounts it.
  private let isLent: Bool
  private let progress: ProgressPrinter?
  /// The layers around the image; nil until it is mounted.
  private var stack: DeviceStack?
  private var mounted: (volume: Volume, access: Access)?
  /// How the verb that runs prints.
  var format: FSOptions.Format
  /// What ran last, for messages: "line 3: ls".
  var context = ""
  /// The worst of what was reported so far, as an exit code.
  private(set) var exitCode: Int32 = 0

  init(_ options: FSOptions, _ control: RunControl, _ progress: ProgressPrinter?) {
    self.options = options
    format = options.format
    output = FSOutput(isSilent: false)
    reactor = ThreadReactor(calendarTime: options.time)
    isLent = false
    self.control = control
    self.progress = progress
    isScript = options.words.first == [UInt8(ascii: "-")]
    image = HostIdentity(ofPath: Array(options.image.utf8))
  }

  /// Runs verbs on a volume that somebody else has mounted, silently.
  init(on volume: Volume, _ options: FSOptions, _ control: RunControl) {
    self.options = options
    self.control = control
    format = options.format
    output = FSOutput(isSilent: true)
    reactor = volume.reactor
    isLent = true
    progress = nil
    isScript = false
    image = nil
    mounted = (volume, .writing)
  }

  // MARK: The volume

  /// The volume, mounted for what is to be done with it.
  func volume(for access: Access) async throws(FSError) -> Volume {
    if let mounted, mounted.access == .writing || access != .writing { return mounted.volume }
    try await unmount()
    let isReadOnly = access != .writing || options.mount.isReadOnly
    let volume = try await Self.mount(options, isReadOnly: isReadOnly, try makeStack(), reactor, control)
    mounted = (volume, access)
    return volume
  }

  /// The layers around the image, made once.
  private func makeStack() throws(FSError) -> DeviceStack {
    if let stack { return stack }
    let stack: DeviceStack
    do { stack = try DeviceStack(options.stack) } catch { throw .layers(error) }
    if stack.needsRegions { stack.regions = namedRegions(ofVolume: options.image) }
    self.stack = stack
    return stack
  }

  /// Sets a mark in the write log.
  func mark(_ text: String) throws(FSError) {
    guard try makeStack().mark(text) else { throw .usage("mark: there is no write log: --write-log=FILE makes one") }
  }

  /// Says what became of the layers, and leaves the image as they show it.
  private func endStack() {
    guard let stack, !stack.description.isEmpty else { return }
    let report = stack.end()
    for line in (options.stack.isShown ? report.counts : []) + report.lines { tell(line) }
    if report.hasFailed { exitCode = max(exitCode, 1) }
    do { try stack.settleDamage(onto: options.image) } catch {
      tell("\(error)")
      exitCode = max(exitCode, 1)
    }
  }

  private static func mount(
    _ options: FSOptions, isReadOnly: Bool, _ stack: DeviceStack, _ reactor: Reactor, _ control: RunControl
  ) async throws(FSError) -> Volume {
    let isFirst = stack.isUnused
    let layered: any BlockDevice
    do {
      layered = try stack.stacked(on: FileDevice(path: options.image, options: .init(isReadOnly: isReadOnly)))
    } catch { throw .device(error) }
    if isFirst && options.stack.isShown { print(stackDescription(of: layered), to: .standardError) }
    // One mount at a time has it, and all of them run on the session's reactor.
    nonisolated(unsafe) let device = layered
    var volumeOptions = options.mount.volumeOptions(isReadOnly: isReadOnly, logger: control.logger)
    if let deadline = options.stack.deadlineNanoseconds { volumeOptions.queue.timeoutNanoseconds = deadline }
    do { return unsafe try await Volume.mount(device, on: reactor, options: volumeOptions) } catch {
      throw .failed(TreeError(Array(options.image.utf8), .volume(error)))
    }
  }

  /// Writes everything and lets the volume go; nothing when it is not mounted.
  func unmount() async throws(FSError) {
    guard let volume = mounted?.volume else { return }
    mounted = nil
    try await at(Array(options.image.utf8)) { () async throws(Ext2Error) in try await volume.unmount() }
  }

  /// Unmounts, and mounts again with the next verb.
  func remount() async throws(FSError) {
    if isLent { throw .usage("remount: the volume stays mounted here") }
    let access = mounted?.access
    try await unmount()
    if let access { _ = try await volume(for: access) }
  }

  /// Ends the session. Returns what the command ends with.
  func end() async -> Int32 {
    context = ""
    do { try await unmount() } catch { report(error) }
    (reactor as? ThreadReactor)?.stop()
    endStack()
    return exitCode
  }

  // MARK: Errors

  /// Says what went wrong.
  func report(_ error: FSError) {
    exitCode = max(exitCode, error.exitCode)
    tell("\(error)")
  }

  /// A line on stderr, with what it is about.
  func tell(_ text: String) {
    progress?.clear()
    print("blkdev-run: \(context.isEmpty ? "" : "\(context): ")\(text.withoutControls)", to: .standardError)
  }

  /// Runs what may fail by itself: with --keep-going an error is reported, and the rest goes on.
  func attempt(_ body: () async throws(FSError) -> Void) async throws(FSError) {
    do { try await body() } catch {
      if error.endsEverything || !options.keepsGoing { throw error }
      report(error)
    }
  }

  /// Runs something for each operand.
  func forEach(_ operands: [[UInt8]], _ body: ([UInt8]) async throws(FSError) -> Void) async throws(FSError) {
    for operand in operands {
      try checkStop()
      try await attempt { () async throws(FSError) in try await body(operand) }
    }
  }

  /// Visits what is at a path of the mounted volume, and everything below it. What an error is about is left out with
  /// --keep-going.
  func walk(
    from path: [UInt8], followsLink: Bool = false,
    _ body: (VolumeVisit, inout VolumeWalk) async throws(FSError) -> Void
  ) async throws(FSError) {
    let volume = try await volume(for: .reading)
    var walk = try await copying { () async throws(TreeError) in
      try await VolumeWalk(volume, from: path, followsLink: followsLink)
    }
    var isDone = false
    while !isDone {
      try checkStop()
      try await attempt { () async throws(FSError) in
        let visit = try await copying { () async throws(TreeError) in try await walk.next() }
        guard let visit else { return isDone = true }
        try await body(visit, &walk)
      }
    }
  }

  func checkStop() throws(FSError) {
    if control.isStopRequested { throw .failed(TreeError("", .interrupted)) }
  }

  // MARK: Long work

  /// What copies of trees are told and tell, with their progress on the terminal.
  func treeControl() -> TreeControl {
    let control = control, progress = progress, context = context
    let start = cl_monotonic_ns()
    @Sendable func tell(_ text: String) {
      progress?.clear()
      print("blkdev-run: \(context): \(text.withoutControls)", to: .standardError)
    }
    @Sendable func show(_ done: TreeProgress) {
      progress?.show { columns in
        let text = "\(context): \(Self.text(done, nanoseconds: cl_monotonic_ns() - start))"
        return String(text.prefix(columns > 0 ? columns : .max))
      }
    }
    return TreeControl(
      keepsGoing: options.keepsGoing, isStopRequested: { control.isStopRequested }, onError: { tell("\($0)") },
      onWarning: { tell("warning: \($0)") }, onProgress: progress == nil ? nil : show)
  }

  /// Runs a copy; errors after which it went on make the verb fail.
  func copyTree(_ body: (TreeControl) async throws(TreeError) -> Void) async throws(FSError) {
    let control = treeControl()
    defer { progress?.clear() }
    try await copying { () async throws(TreeError) in try await body(control) }
    if control.failureCount > 0 { exitCode = max(exitCode, 1) }
  }

  private static func text(_ done: TreeProgress, nanoseconds: UInt64) -> String {
    let rate = ReportNumber.perSecond(done.byteCount, nanoseconds: max(1, nanoseconds))
    return "\(done.nameCount) files, \(ReportNumber.short(done.byteCount, .binary))B,"
      + " \(ReportNumber.short(rate, .binary))B/s"
  }
}

extension String {
  /// Without what would steer a terminal: names and messages come from disks.
  var withoutControls: String {
    if !unicodeScalars.contains(where: { $0.properties.generalCategory == .control && $0 != "\n" }) { return self }
    var text = ""
    for scalar in unicodeScalars {
      if scalar.properties.generalCategory == .control && scalar != "\n" {
        text += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}
