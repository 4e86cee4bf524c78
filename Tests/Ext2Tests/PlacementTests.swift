import Ext2
import Ext2Format
import Ext2Tools
import Support
import SystemPackage
import Testing

/// The rules that say in which group a new inode is (fs/ext2/ialloc.c: find_group_orlov, find_group_other), and near what
/// its first block (fs/ext2/inode.c, ext2_find_near).
@Suite("Where files and directories are put", .enabled(if: Images.isAvailable, "mke2fs and e2fsck are needed"))
struct PlacementTests {
  /// What is made, in this order.
  enum Step: Sendable {
    case directory(String)
    case file(String)
  }

  /// Eight groups of 8,192 blocks that have the same room, but for the first one, which has the root.
  static func image(inodesPerGroup: UInt64 = 1024) throws -> [UInt8] {
    try Images.make(blockSize: 1024, byteCount: (8 * 8192 + 1) * 1024) { options in
      options.inodeCount = 8 * inodesPerGroup
      options.inodeSize = 128
      options.reservedPercent = 0
      // Copies of the superblock in some groups only would make the others better places.
      var features = FeatureSet.standard
      try features.edit("^resize_inode,^sparse_super")
      options.features = features
    }
  }

  static func byUs(_ steps: [Step], _ image: [UInt8]) throws -> [UInt8] {
    try Images.prepared(image) { rig in
      for step in steps {
        switch step {
        case .directory(let path): try await rig.volume.makeDirectory(path)
        case .file(let path):
          let file = try await rig.volume.open(path, create: true)
          try await file.write(stamped(1, count: 3000), at: 0)
          await file.close()
        }
      }
    }
  }

  static func byTheKernel(_ steps: [Step], _ image: [UInt8]) throws -> [UInt8] {
    try Kernel.mounted(image) { folder in
      for step in steps {
        switch step {
        case .directory(let path): try Kernel.makeDirectory("\(folder)/\(path)")
        case .file(let path): try Kernel.write(stamped(1, count: 3000), to: "\(folder)/\(path)")
        }
      }
    }
  }

  /// In which group each of these has its inode, and in which one its first block.
  static func groups(of steps: [Step], in image: [UInt8]) throws -> [String: (inode: UInt32, block: UInt32)] {
    #expect(try Images.check(image) == nil)
    let places = Places()
    let outcome = VolumeRig.run(image, options: .quiet.with { $0.isReadOnly = true }) { rig in
      let layout = try await rig.volume.superblock().1
      for step in steps {
        let path: String
        switch step {
        case .directory(let name), .file(let name): path = name
        }
        let inode = InodeNumber(rawValue: try await rig.volume.status(of: path).inode)
        let block = try await rig.volume.inspect(inode).record.block[0]
        places.groups[path] = (
          layout.group(of: inode).rawValue, layout.group(of: BlockNumber(rawValue: block)).rawValue
        )
      }
    }
    #expect(outcome.failures == [])
    return places.groups
  }

  private final class Places: @unchecked Sendable {
    // Sendable because everything of a simulated run happens on one thread.
    var groups: [String: (inode: UInt32, block: UInt32)] = [:]
  }

  // MARK: Directories

  static let tops = (0..<16).map { "top-\($0)" }
  static let tree: [Step] =
    tops.map { .directory($0) } + tops.flatMap { top in (0..<4).map { .directory("\(top)/d\($0)") } }
    + tops.flatMap { top in (0..<3).flatMap { [.file("\(top)/f\($0)"), .file("\(top)/d\($0)/f")] } }

  /// Directories below the root are spread evenly, those below them are with their parent, and files with their
  /// directory.
  static func judge(_ image: [UInt8], isExt2: Bool = true) throws {
    let places = try groups(of: tree, in: image)
    var counts = [Int](repeating: 0, count: 8)
    for top in tops {
      let group = try #require(places[top]).inode
      counts[Int(group)] += 1
      for index in 0..<4 { #expect(places["\(top)/d\(index)"]?.inode == group, "\(top)/d\(index)") }
      for index in 0..<3 {
        #expect(places["\(top)/f\(index)"]?.inode == group, "\(top)/f\(index)")
        #expect(places["\(top)/d\(index)/f"]?.inode == group, "\(top)/d\(index)/f")
      }
    }
    #expect(counts.dropFirst().allSatisfy { (2...3).contains($0) }, "\(counts)")
    // The kernel's ext4 driver, which mounts ext2 on many machines, keeps the blocks of small files of all directories
    // together (fs/ext4/mballoc.c, locality groups): only ext2's own rule is judged.
    for (path, place) in places where isExt2 || !path.contains("f") {
      #expect(place.inode == place.block, "the first block of \(path)")
    }
  }

  @Test("directories at the top are spread over the groups, those below are near their parent, and files near both")
  func orlov() throws { try Self.judge(try Self.byUs(Self.tree, try Self.image())) }

  @Test(
    "the kernel puts the same tree by the same rules",
    .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
  func orlovOfTheKernel() throws {
    try Self.judge(try Self.byTheKernel(Self.tree, try Self.image()), isExt2: false)
  }

  @Test("directories in one with the flag T are spread as those at the top are, and those in one without it are not")
  func topDirectoryFlag() throws {
    for isTop in [true, false] {
      let steps = (0..<7).map { Step.directory("d/\($0)") }
      let start = try Images.prepared(try Self.image()) { rig in
        try await rig.volume.makeDirectory("d")
        if isTop { try await rig.volume.change("d", StatusChanges(flags: .topDirectory)) }
      }
      let places = try Self.groups(of: steps, in: try Self.byUs(steps, start))
      // The groups other than those of the root and of the directory itself are six.
      #expect(Set(places.values.map(\.inode)).count >= (isTop ? 6 : 1))
      #expect(isTop || Set(places.values.map(\.inode)).count == 1)
    }
  }

  @Test("a group takes as many directories in a row as it has files for, and the next go elsewhere")
  func debts() throws {
    // 1,024 inodes a group, 64 for a directory: 16, and the parent is one of them. ext4 counts no debts.
    for hasFiles in [false, true] {
      let directories = (0..<24).map { Step.directory("top/d\($0)") }
      let steps: [Step] =
        [.directory("top")]
        + directories.enumerated().flatMap { index, step in hasFiles ? [step, .file("top/f\(index)")] : [step] }
      let places = try Self.groups(of: steps, in: try Self.byUs(steps, try Self.image()))
      let home = try #require(places["top"]).inode
      let near = (0..<24).filter { places["top/d\($0)"]?.inode == home }
      #expect(near == Array(0..<(hasFiles ? 24 : 15)), "with files: \(hasFiles)")
    }
  }

  // MARK: Files

  static let overflow = (0..<(8 * 32 - 11)).map { Step.file("f\($0)") }

  /// Group 0; then 0 + 2 (the root's number), and 1, 2 and 4 more each time; then whatever has room.
  static func overflowGroups(_ image: [UInt8]) throws -> [UInt32] {
    let places = try groups(of: overflow, in: image)
    return overflow.indices.compactMap { places["f\($0)"]?.inode }
  }

  @Test("files that have no room in their directory's group go together to another one, until no inode is left")
  func fullGroup() throws {
    let image = try Self.byUs(Self.overflow, try Self.image(inodesPerGroup: 32))
    let expected =
      [UInt32](repeating: 0, count: 21) + [3, 5, 1, 2, 4, 6, 7].flatMap { [UInt32](repeating: $0, count: 32) }
    #expect(try Self.overflowGroups(image) == expected)
    let outcome = VolumeRig.run(image) { rig in
      let before = await rig.volume.statistics
      #expect(before.freeInodeCount == 0)
      let error = await errorOf { () async throws(Ext2Error) in try await rig.volume.makeDirectory("more") }
      #expect(error?.errno == .noSpace)
      #expect(await rig.volume.statistics == before)
    }
    #expect(outcome.failures == [])
    #expect(try Images.check(outcome.image) == nil)
  }

  @Test(
    "the kernel sends files without room to the same groups",
    .enabled(if: Kernel.obstacle == nil, "\(Kernel.obstacle ?? "")"))
  func fullGroupOfTheKernel() throws {
    let image = try Self.image(inodesPerGroup: 32)
    #expect(
      try Self.overflowGroups(try Self.byTheKernel(Self.overflow, image))
        == Self.overflowGroups(try Self.byUs(Self.overflow, image)))
  }
}
