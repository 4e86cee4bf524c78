// The judge that needs nothing but what every user has: a read-only mount, and reading by name.
internal import BlockDevice
internal import Ext2
internal import Ext2Format
internal import Reactor

enum MountedJudge {
  /// What of the promised files, as far as their names are promised, does not read as it should.
  ///
  /// Where the checker has found damage, a directory may have a block that cannot be read by name, because the head of an
  /// entry is torn or old contents are there: nothing in that directory is found then (fs/ext2/dir.c, ext2_check_folio).
  static func broken(
    _ expected: CrashExpectation, in image: [UInt8], seed: UInt64, isDamaged: Bool
  ) -> [CrashFinding] {
    var paths: [UInt32: String] = [2: ""]
    var waiting: [UInt32] = [2]
    let directories = Dictionary(uniqueKeysWithValues: expected.directories.map { ($0.number, $0) })
    while let number = waiting.popLast(), let directory = directories[number], let path = paths[number] {
      for entry in directory.durableNames where paths[entry.inode] == nil {
        paths[entry.inode] = path + "/" + String(decoding: entry.name, as: UTF8.self)
        if directories[entry.inode] != nil { waiting.append(entry.inode) }
      }
    }
    let files = expected.files.compactMap { file in paths[file.number].map { (path: $0, file: file) } }
    let reactor = SimulatedReactor(seed: seed, policy: .uniform)
    do {
      return try reactor.run { try await read(files, image, reactor, isDamaged: isDamaged) }
    } catch { return [CrashFinding(kind: "mount", text: "mounted for reading: \(error)")] }
  }

  private static func read(
    _ files: [(path: String, file: FileExpectation)], _ image: [UInt8], _ reactor: SimulatedReactor, isDamaged: Bool
  ) async throws -> [CrashFinding] {
    let device = SimulatedDevice(reactor: reactor, image: image, keepsDurable: false)
    let volume = try await Volume.mount(device, on: reactor, options: .cold)
    var findings: [CrashFinding] = []
    for (path, expectation) in files {
      do {
        let file = try await volume.open(path)
        if let text = try await expectation.broken(in: file) {
          findings.append(CrashFinding(kind: "mount", text: "\(path): \(text)"))
        }
        await file.close()
      } catch Ext2Error.corrupt(let what) where isDamaged && what.isOfDirectoryBlock {} catch {
        findings.append(CrashFinding(kind: "mount", text: "\(path): \(error)"))
      }
    }
    try await volume.unmount()
    return findings
  }
}

extension FileExpectation {
  /// In what a file is not what was promised. Blocks that may be anything are not read: their pointers may be anything.
  fileprivate func broken(in file: File) async throws(Ext2Error) -> String? {
    let size = Int(clamping: try await file.status().byteCount)
    guard sizes.contains(size) else { return "\(size) bytes; promised: \(sizesText)" }
    for (index, block) in blocks.enumerated() where !block.mayBeAnything {
      let blockSize = block.versions[0].count
      let bytes = try await file.read(at: UInt64(index * blockSize), count: blockSize)
      for start in stride(from: 0, to: bytes.count, by: 512) {
        let sector = start..<min(start + 512, bytes.count)
        guard block.versions.contains(where: { $0[sector] == bytes[sector] }) else {
          return "block \(index): not the promised bytes"
        }
      }
    }
    return nil
  }
}

extension Corruption {
  fileprivate var isOfDirectoryBlock: Bool {
    if case .invalid(.directoryBlock, _, _, _, _) = error { return true }
    return false
  }
}
