// What people need to understand a finding: where the blocks lie, what was expected, what is there, and whose it is.
internal import DeviceLayers
package import Ext2Tools

extension CrashJudge {
  /// An inode as a state has it: its size, and where its blocks lie, a run a line. `name` is how people call it.
  package func blockMap(of number: UInt32, named name: String, in image: MemoryBytes) -> [String] {
    let contents = image.bytes
    let bytes = unsafe contents.span.bytes
    guard let inode = raw.inode(number, in: bytes) else { return [] }
    var lines = [
      "\(name): mode \(String(inode.mode, radix: 8)), \(inode.linkCount) links, \(inode.byteCount) bytes"
    ]
    var start = 0
    let count = min(4096, (Int(clamping: inode.byteCount) + blockSize - 1) / blockSize)
    func disk(_ index: Int) -> UInt32? { raw.block(index, of: inode, in: bytes) }
    for index in 0..<count {
      let here = disk(index)
      let next = index + 1 < count ? disk(index + 1) : nil
      let goesOn = index + 1 < count && (here == 0 ? next == 0 : here != nil && next == here.map { $0 + 1 })
      if goesOn { continue }
      let place = disk(start).map { $0 == 0 ? "a hole" : "disk blocks from \($0) on" } ?? "pointers out of the volume"
      lines.append("  blocks \(start) to \(index): \(place)")
      start = index + 1
    }
    return lines
  }

  /// The bytes that were expected where a finding has others, those that are there, and where these come from, a line
  /// each; nothing for findings that are not about bytes.
  func evidence(
    of finding: CrashFinding, _ expected: CrashExpectation, in image: MemoryBytes, _ recording: CrashRecording,
    base: [UInt8]
  ) -> [String] {
    guard let place = finding.place, let number = finding.inode else { return [] }
    let contents = image.bytes
    let bytes = unsafe contents.span.bytes
    let start = place.diskBlock == 0 ? nil : raw.offset(of: place.diskBlock, in: bytes)
    let sector = start.map { contents[$0 + place.offset..<$0 + place.offset + 512] } ?? zeroes[..<512]
    let allowed = allowedBytes(expected, number, place, isPromise: finding.kind != "foreign-bytes").map { version in
      version[place.offset..<place.offset + 512]
    }
    // From where the version differs that agrees the longest.
    let common = allowed.map { version in zip(version, sector).prefix { $0 == $1 }.count }.max() ?? 0
    let from = min(common, 511) / 16 * 16
    func line(_ what: String, _ bytes: ArraySlice<UInt8>) -> String {
      let shown = bytes.dropFirst(from).prefix(16).map { byte in
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
      return "  \(what) \(shown.joined(separator: " "))"
    }
    let offset = place.fileBlock * blockSize + place.offset + from
    var lines = ["\(recording.name(of: number)), 16 bytes at byte \(offset):"]
    for version in allowed.prefix(3) where lines.last != line("expected", version) {
      lines.append(line("expected", version))
    }
    lines.append(line("found   ", sector))
    lines.append("  which is " + recording.origin(of: sector, at: start.map { $0 + place.offset }, base: base))
    return lines
  }

  private func allowedBytes(
    _ expected: CrashExpectation, _ number: UInt32, _ place: CrashFinding.Place, isPromise: Bool
  ) -> [[UInt8]] {
    if isPromise {
      let file = expected.files.first { $0.number == number }
      return file.map { place.fileBlock < $0.blocks.count ? $0.blocks[place.fileBlock].versions : [] } ?? []
    }
    guard let owner = expected.owners.first(where: { $0.number == number }), place.fileBlock < owner.blocks.count else {
      return []
    }
    return owner.blocks[place.fileBlock].first { $0.disk == place.diskBlock }?.versions ?? []
  }
}

extension CrashRecording {
  /// A file's last path, and its inode.
  func name(of number: UInt32) -> String {
    let path = observations.trees.reversed().lazy.compactMap { $0.paths[number] }.first
    return (path.map { String(decoding: $0, as: UTF8.self) + ", " } ?? "") + "inode \(number)"
  }

  /// Where the bytes of a sector come from: of the writes that brought such bytes, the last.
  fileprivate func origin(of sector: ArraySlice<UInt8>, at start: Int?, base: [UInt8]) -> String {
    if sector.allSatisfy({ $0 == 0 }) { return start == nil ? "a hole" : "zeroes" }
    for (index, write) in history.writes.enumerated().reversed() {
      for offset in stride(from: 0, to: write.bytes.count, by: 512)
      where write.bytes[offset..<min(write.bytes.count, offset + 512)] == sector {
        let what = write.isFileData ? "data of \(name(of: UInt32(truncatingIfNeeded: write.owner)))" : "metadata"
        return "what write \(index) brought to byte \(write.offset + UInt64(offset)) of the device: \(what)"
          + (step(ofWrite: index).map { ", in step \($0): \(steps[$0 - 1].line)" } ?? "")
      }
    }
    func holds(_ place: Int) -> Bool { base[place..<place + 512] == sector }
    if let start, holds(start) { return "what the medium held there at first" }
    if let place = stride(from: 0, to: base.count - 511, by: 512).first(where: holds) {
      return "what the medium held at first at byte \(place)"
    }
    return "nothing that was written as a whole sector"
  }

  /// The step that had begun last when the device took a write.
  private func step(ofWrite wanted: Int) -> Int? {
    var step: Int?
    for event in history.events {
      switch event {
      case .started(wanted): return step
      case .mark(let text):
        if let mark = StepMark(text), mark.isBegin { step = mark.step }
      default: break
      }
    }
    return nil
  }
}
