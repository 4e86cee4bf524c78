// The judge that needs nothing but what every user has: a read-only mount, and reading by name.
internal import BlockDevice
internal import Ext2
internal import Reactor

enum MountedJudge {
  /// What of the promised files, as far as their names are promised, does not read as it should.
  static func broken(_ expected: CrashExpectation, in image: [UInt8], seed: UInt64) -> [CrashFinding] {
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
      return try reactor.run { try await read(files, image, reactor) }
    } catch { return [CrashFinding(kind: "mount", text: "mounted for reading: \(error)")] }
  }

  private static func read(
    _ files: [(path: String, file: FileExpectation)], _ image: [UInt8], _ reactor: SimulatedReactor
  ) async throws -> [CrashFinding] {
    let device = SimulatedDevice(reactor: reactor, image: image, keepsDurable: false)
    let volume = try await Volume.mount(device, on: reactor, options: .cold)
    var findings: [CrashFinding] = []
    for (path, expectation) in files {
      do {
        let file = try await volume.open(path)
        let bytes = try await file.read(at: 0, count: expectation.sizes.upperBound + 1)
        if !expectation.allows(bytes) {
          findings.append(CrashFinding(kind: "mount", text: "\(path): not the promised bytes"))
        }
        await file.close()
      } catch { findings.append(CrashFinding(kind: "mount", text: "\(path): \(error)")) }
    }
    try await volume.unmount()
    return findings
  }
}

extension FileExpectation {
  /// Whether a file with these contents is what was promised.
  fileprivate func allows(_ bytes: [UInt8]) -> Bool {
    guard sizes.contains(bytes.count) else { return false }
    for (index, block) in blocks.enumerated() where !block.mayBeAnything {
      let blockSize = block.versions[0].count
      for start in stride(from: index * blockSize, to: min(bytes.count, (index + 1) * blockSize), by: 512) {
        let sector = bytes[start..<min(start + 512, bytes.count, (index + 1) * blockSize)]
        let offset = start - index * blockSize
        guard block.versions.contains(where: { $0[offset..<offset + sector.count] == sector }) else { return false }
      }
    }
    return true
  }
}
