import BlockDevice
import Ext2
import Ext2Format
import Ext2Tools
import PageCache
import Reactor
import Support

/// What is done with an image, whatever is in it: checked, mended, mounted, walked, changed a little, unmounted.
///
/// A finding is a trap, a heap that the volume's size does not justify (`AllocationLimit`), a run without an end, or
/// something that contradicts itself; each ends the process. Errors are what is expected of most images.
struct ImageUse {
  /// Turns of the simulation that a run may take: far more than any run with an end has needed.
  static let stepLimit = 400_000
  /// Names that a walk looks at: a damaged directory may be below itself.
  private static let nodeLimit = 150

  let image: [UInt8]
  let seed: UInt16
  let options: UInt8

  func run(_ checker: VolumeChecker) {
    let wasClean = checkAndRepair(checker)
    guard let after = mountAndUse(), wasClean, hasAttributes, !hidesInodes else { return }
    let report = try? checker.check(MemoryBytes(after))
    // Blocks that the resize inode names beyond those it keeps are nobody's to a checker, until somebody gets them.
    let findings = report?.findings.filter {
      $0.kind.weight != .note && !isTakenForOverflow($0) && $0.inode != InodeNumber.resize.rawValue
    }
    if findings?.isEmpty != true {
      fatalError("clean before, no corruption was met, and not clean after: \(findings?.prefix(3) ?? [])")
    }
  }

  /// An indexed directory that says it has one link counts as one with too many to count (e2fsck/pass4.c), until a change
  /// takes the index away: then the same count is wrong.
  private func isTakenForOverflow(_ finding: CheckFinding) -> Bool { finding.kind == .linkCount && finding.found == 1 }

  /// Without this feature nobody looks at the attribute blocks that inodes name; the first attribute that is set brings
  /// the feature, and what was wrong all the time is found.
  private var hasAttributes: Bool { image[1024 + 92] & 8 != 0 }

  /// Inodes that the superblock keeps for quotas, projects and orphans of ext4 may have no name, for e2fsck even where the
  /// volume has no such feature, and so nobody but a checker knows of them.
  private var hidesInodes: Bool {
    [576, 580, 620, 640].contains { field in image[1024 + field..<1024 + field + 4].contains { $0 != 0 } }
  }

  // MARK: Not mounted

  /// Returns whether the image is clean.
  private func checkAndRepair(_ checker: VolumeChecker) -> Bool {
    let bytes = MemoryBytes(image)
    let before = try? checker.check(bytes)
    if let outcome = try? checker.repair(bytes, time: 1_767_225_600) {
      if outcome.refusal.isEmpty {
        guard let after = try? checker.check(bytes), after.isClean else { fatalError("not clean after a repair") }
      } else if bytes.bytes != image {
        fatalError("a repair that was refused has changed the volume")
      }
    } else if before != nil {
      fatalError("checked, but the repair found nothing to check")
    }
    // Copies that are taken for damaged descriptors are the checker's; a mounted volume has its own.
    let isOfCopies = before?.findings.contains { $0.kind == .descriptorsReplaced || $0.kind == .superblockReplaced }
    return before?.isClean == true && isOfCopies != true
  }

  // MARK: Mounted

  private func mountAndUse() -> [UInt8]? {
    guard image.count >= 512 else { return nil }
    let reactor = SimulatedReactor(seed: UInt64(seed))
    reactor.stepLimit = Self.stepLimit
    do {
      return try reactor.run {
        let device = SimulatedDevice(reactor: reactor, image: image, keepsDurable: false)
        let tally = Tally()
        device.script = { request in
          if request.operation.isWrite { tally.count += 1 }
          return .proceed
        }
        let volume: Volume
        do { volume = try await Volume.mount(device, on: reactor, options: mountOptions) } catch {
          if tally.count > 0 { fatalError("refused, but written: \(error)") }
          return nil
        }
        let nodes = await walk(volume)
        if !mountOptions.isReadOnly { await change(volume, nodes) }
        do { try await volume.unmount() } catch { return nil }
        return await volume.withDevice { ($0 as? SimulatedDevice)?.image }
      }
    } catch { fatalError("\(error)") }
  }

  private var mountOptions: VolumeOptions {
    var mount = VolumeOptions.quiet
    mount.cache.cacheByteCount = 4 << 20
    mount.metadataSlotCount = options & 1 == 0 ? 256 : 2048
    mount.isReadOnly = options & 6 == 6
    mount.onErrors = [nil, .continue, .remountReadOnly, .abort][Int(options >> 3 & 3)]
    mount.frees = options & 0x20 == 0 ? .plain : .ordered
    mount.allocation = options & 0x40 == 0 ? .firstFit : .nextFit
    mount.isSynchronous = options & 0x80 != 0 && options & 1 != 0
    mount.nameIndexByteLimit = 1 << 20
    return mount
  }

  /// Everything that can be read of everything that has a name.
  private func walk(_ volume: Volume) async -> [[UInt8]] {
    var nodes: [[UInt8]] = [[]]
    var next = 0
    while next < nodes.count {
      // The root is the empty path here, so that every other one has a slash before its last name.
      let name = nodes[next]
      let node = name.isEmpty ? Array("/".utf8) : name
      next += 1
      let status = try? await volume.status(of: node, followsLink: false)
      if let names = try? await volume.attributeNames(of: node, followsLink: false) {
        for attribute in names.prefix(20) { _ = try? await volume.attribute(attribute, of: node, followsLink: false) }
      }
      switch status?.type {
      case .directory:
        for isDefault in [false, true] { _ = try? await volume.accessControlList(of: node, isDefault: isDefault) }
        guard let entries = try? await volume.entries(of: node) else { continue }
        for entry in entries where nodes.count < Self.nodeLimit && entry.text != "." && entry.text != ".." {
          nodes.append(name + [UInt8(ascii: "/")] + entry.name)
        }
        _ = try? await volume.entries(of: node, from: UInt64(seed) << 4, limit: 10)
      case .symbolicLink:
        _ = try? await volume.symbolicLinkTarget(node)
        _ = try? await volume.status(of: node)
      case .regular: await read(volume, node)
      default: break
      }
    }
    return nodes
  }

  private func read(_ volume: Volume, _ path: [UInt8]) async {
    guard let file = try? await volume.open(path), let status = try? await file.status() else { return }
    let size = status.byteCount
    for offset in [0, size / 2, size > 5000 ? size - 5000 : 0] { _ = try? await file.read(at: offset, count: 20_000) }
    _ = try? await file.extents()
    for what in [SeekTarget.data, .hole] {
      var offset: UInt64 = 0
      for _ in 0..<8 {
        guard let found = try? await file.seek(what, from: offset) else { break }
        offset = found + 4096
      }
    }
    await file.close()
  }

  /// All kinds of changes, some at once, whatever they say.
  private func change(_ volume: Volume, _ nodes: [[UInt8]]) async {
    var random = SeededGenerator(seed: UInt64(seed))
    var paths: [[UInt8]] = []
    for _ in 0..<6 { paths.append(nodes[random.below(nodes.count)]) }
    let chosen = paths, number = Int(seed)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await changeFiles(volume, chosen, number) }
      group.addTask { await changeNames(volume, chosen, number) }
    }
    try? await volume.synchronize()
    _ = try? await volume.trim()
    _ = await volume.statistics
    await changeFiles(volume, chosen.reversed(), number + 1)
  }

  private func changeFiles(_ volume: Volume, _ paths: [[UInt8]], _ number: Int) async {
    for path in paths.prefix(4) + [Array("new-\(number)".utf8)] {
      guard let file = try? await volume.open(path, create: true) else { continue }
      for offset in [0, 12 << 10, 300 << 10, UInt64(12 + 256 + 65536 + 5) << 10] {
        _ = try? await file.write(stamped(7, count: 1500), at: offset + UInt64(number % 1000))
      }
      _ = try? await file.append(stamped(8, count: 9000))
      try? await file.synchronize()
      try? await file.punch(5000..<400_000)
      try? await file.fallocate([], 2000..<30_000)
      try? await file.truncate(to: UInt64(number % 3) * 14_000)
      _ = try? await file.append(stamped(9, count: 3000))
      _ = try? await file.extents()
      await file.close()
    }
  }

  private func changeNames(_ volume: Volume, _ paths: [[UInt8]], _ number: Int) async {
    func text(_ name: String) -> [UInt8] { Array("\(name)-\(number)".utf8) }
    try? await volume.makeDirectory(text("folder"))
    try? await volume.makeSymbolicLink(text("link"), to: [UInt8](repeating: 0x78, count: number % 100 + 1))
    try? await volume.makeNode(text("device"), .blockDevice, device: DeviceNumber(major: 259, minor: 70_000))
    for (index, path) in paths.enumerated() {
      let target = text("folder") + Array("/\(index)".utf8)
      switch (number + index) % 8 {
      case 0: try? await volume.unlink(path)
      case 1: try? await volume.removeDirectory(path)
      case 2: try? await volume.rename(path, to: target)
      case 3: try? await volume.link(path, to: target)
      case 4:
        try? await volume.setAttribute("user.fuzz", to: stamped(3, count: number % 700), of: path, followsLink: false)
      case 5: try? await volume.makeDirectory(path + Array("/sub".utf8))
      case 6: _ = try? await volume.open(path + Array("/file".utf8), create: true).close()
      default:
        try? await volume.change(
          path,
          StatusChanges(permissions: UInt16(number & 0o7777), user: 70_000, modificationTime: nil))
      }
    }
    for path in paths { try? await volume.removeAttribute("user.fuzz", of: path, followsLink: false) }
    for index in 0..<12 { _ = try? await volume.open(text("many-\(index)"), create: true).close() }
    for index in 0..<6 { try? await volume.unlink(text("many-\(index)")) }
    try? await volume.removeDirectory(text("folder"))
  }
}
