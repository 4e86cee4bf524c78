import Ext2Tools
import Glibc
import Reactor
import Support
import SystemPackage
import Testing
import Workload

/// Damaged volumes, and e2fsck to say which of them are clean.
///
/// Each image is damaged field by field, and checked by both. `CORPUS_COUNT` is how many a run takes of each image (all:
/// 0), `CORPUS_SEED` which; `CORPUS_ONE=image:offset:width:value` repeats one and prints what both say.
@Suite("A damaged volume", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct CheckCorpusTests {
  static func text(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }
  static func number(_ name: String, _ standard: UInt64) -> UInt64 { text(name).flatMap { UInt64($0) } ?? standard }

  @Test("every image is clean before it is damaged, and both count alike", arguments: CheckImage.all)
  func clean(image: CheckImage) throws {
    let bytes = try image.make()
    let report = try VolumeChecker().check(MemoryBytes(bytes))
    #expect(report.isClean, "\(report.findings)")
    #expect(report.findings == [])
    let said = try Images.output(of: "e2fsck", ["-fn"], on: bytes)
    let statistics = report.statistics
    let permille = statistics.nonContiguousPermille
    let line =
      "\(statistics.usedInodes)/\(statistics.inodeCount) files (\(permille / 10).\(permille % 10)% non-contiguous), "
      + "\(statistics.usedBlocks)/\(statistics.blockCount) blocks"
    #expect(said.contains(line), "\(line) | \(said)")
  }

  @Test("is clean or not by the word of e2fsck", arguments: CheckImage.all)
  func agreement(image: CheckImage) throws {
    let bytes = try image.make()
    let fields = try VolumeFields(bytes)
    var generator = SeededGenerator(seed: Self.number("CORPUS_SEED", 1))
    if let one = Self.text("CORPUS_ONE") {
      if let mutation = Mutation(one, of: image) { try explain(mutation, bytes) }
      return
    }
    var mutations = fields.fields.flatMap { fields.mutations(of: $0, using: &generator) }
    mutations += fields.flips(mutations.count / 20, using: &generator)
    mutations.shuffle(using: &generator)
    let count = Self.number("CORPUS_COUNT", 150)
    if count > 0 { mutations = Array(mutations.prefix(Int(count))) }
    let judge = try Judge(bytes)
    let checker = VolumeChecker()
    let damaged = MemoryBytes(bytes)
    var disagreements: [String] = []
    for mutation in mutations {
      try mutation.apply(to: damaged)
      let ours = Verdict(checker, damaged)
      try mutation.undo(in: damaged, bytes)
      let theirs = try judge.exitCode(mutation)
      if ours.agrees(with: theirs, said: judge.output) { continue }
      disagreements.append("\(image.name):\(mutation) ours: \(ours) e2fsck: \(theirs)")
    }
    #expect(
      disagreements.isEmpty,
      "\(disagreements.count) of \(mutations.count), repeat with CORPUS_ONE=…:\n\(disagreements.prefix(40).joined(separator: "\n"))"
    )
  }

  private func explain(_ mutation: Mutation, _ bytes: [UInt8]) throws {
    let damaged = MemoryBytes(bytes)
    try mutation.apply(to: damaged)
    let ours = Verdict(VolumeChecker(), damaged)
    let judge = try Judge(bytes)
    let theirs = try judge.exitCode(mutation)
    print("ours: \(ours)\ne2fsck: \(theirs)\n\(judge.output)")
    if let path = Self.text("CORPUS_SAVE") {
      let file = try FileDescriptor.open(
        FilePath(path), .writeOnly, options: [.create, .truncate], permissions: .ownerReadWrite)
      _ = try file.closeAfter { try file.writeAll(damaged.bytes) }
    }
  }
}

/// What this project says of an image.
struct Verdict: CustomStringConvertible {
  var findings: [CheckFinding] = []
  var isClean = false
  var failure: CheckFailure?

  init(_ checker: VolumeChecker, _ image: MemoryBytes) {
    do {
      let report = try checker.check(image)
      findings = report.findings
      isClean = report.isClean
    } catch { failure = error }
  }

  var description: String {
    failure.map { "\($0)" } ?? (isClean ? "clean \(findings.prefix(3))" : "\(findings.prefix(3))")
  }

  /// Whether this is what e2fsck said, or one of the differences that are right:
  ///
  /// - *A volume with features of ext4.* e2fsck checks them; this checker refuses and names them.
  /// - *What e2fsck forgets.* What it finds before its first pass it says, and then declares the volume valid
  ///   (e2fsck/unix.c, main: ext2fs_mark_valid after check_resize_inode), so that with -n it exits with 0. The volume is
  ///   damaged all the same, and `e2fsck -p` stops there.
  /// - *Directories in a circle.* Two directories that hang in each other and not on the root: e2fsck marks each as done
  ///   when it comes by, and takes the mark for a connection (e2fsck/pass3.c, check_directory).
  /// - *A block that two inodes of the format's own claim.* e2fsck says so, and then counts the inodes that are concerned
  ///   without reserved ones ("There are 0 inodes containing multiply-claimed blocks"), and exits with 0
  ///   (e2fsck/pass1b.c, pass1d). `e2fsck -p` stops there.
  func agrees(with exitCode: Int32, said output: String) -> Bool {
    if case .unsupportedFeatures = failure { return true }
    let isClean = failure == nil && self.isClean
    if isClean == (exitCode == 0) { return true }
    guard !isClean, failure == nil else { return false }
    return findings.filter { $0.kind.weight != .note }.allSatisfy { finding in
      switch finding.kind {
      case .superblockValue:
        output.contains("extra isize") || output.contains("s_reserved_gdt_blocks")
          || output.contains("quota inode")
      case .resizeInode: output.contains("Resize inode") || output.contains("Resize_inode")
      case .groupFlags: output.contains("marked uninitialized without feature set")
      case .volumeExceedsDevice: output.contains("physical size of the device")
      case .directoryLoop: true
      case .blockShared: output.contains("There are 0 inodes containing multiply-claimed blocks")
      default: false
      }
    }
  }
}

/// e2fsck on one image that is damaged, judged and mended again.
final class Judge {
  private let path: String
  private let image: [UInt8]
  private let tool: ExternalTool
  private(set) var output = ""

  init(_ image: [UInt8]) throws {
    self.image = image
    guard let tool = ExternalTool("e2fsck") else { throw Images.Failure(output: "no e2fsck") }
    self.tool = tool
    var template = Array("\(TemporaryFile.folder)/blkdev-judge-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let file = FileDescriptor(rawValue: descriptor)
    _ = try file.closeAfter { try file.writeAll(image) }
  }

  deinit { unsafe unlink(path) }

  /// What `e2fsck -fn` exits with when these bytes are changed.
  func exitCode(_ mutation: Mutation) throws -> Int32 {
    try write(mutation.bytes, at: mutation.offset)
    let exitCode = try run("-fn")
    try write(image[mutation.offset..<mutation.offset + mutation.width], at: mutation.offset)
    return exitCode
  }

  /// What `e2fsck -fn` exits with on another image.
  func exitCode(_ other: [UInt8]) throws -> Int32 {
    try write(other, at: 0)
    let exitCode = try run("-fn")
    try write(image, at: 0)
    return exitCode
  }

  /// What `e2fsck -fp` exits with on another image.
  func mend(_ other: [UInt8]) throws -> Int32 {
    try write(other, at: 0)
    let exitCode = try run("-fp")
    try write(image, at: 0)
    return exitCode
  }

  private func write(_ bytes: some Sequence<UInt8>, at offset: Int) throws {
    let file = try FileDescriptor.open(FilePath(path), .readWrite)
    _ = try file.closeAfter { try file.writeAll(toAbsoluteOffset: Int64(offset), bytes) }
  }

  private func run(_ option: String) throws -> Int32 {
    guard let outcome = tool.run([option, path]) else { throw Images.Failure(output: "e2fsck did not start") }
    output = outcome.output
    return outcome.exitCode
  }
}
