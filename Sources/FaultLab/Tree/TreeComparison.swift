package import Ext2
internal import Ext2Format
internal import Reactor
internal import SystemPackage

/// Compares everything of a volume with a model.
package struct TreeComparison {
  private let volume: Volume
  private let model: TreeModel
  package init(_ volume: Volume, _ model: TreeModel) {
    self.volume = volume
    self.model = model
  }

  /// Throws the first difference.
  package func compare() async throws(TreeDifference) {
    do {
      try await compare(model.root, [0x2F])
    } catch let error as TreeDifference { throw error } catch { throw TreeDifference(description: "\(error)") }
  }

  private func compare(_ node: TreeModel.Node, _ path: [UInt8]) async throws {
    let status = try await volume.status(of: path, followsLink: false)
    let text = String(decoding: path, as: UTF8.self)
    func check<V: Equatable>(_ what: String, _ found: V, _ expected: V) throws(TreeDifference) {
      if found != expected {
        throw TreeDifference(description: "\(text): \(what) is \(found), should be \(expected)")
      }
    }
    try check("type", status.type, node.type)
    try check("mode", String(status.permissions, radix: 8), String(node.permissions, radix: 8))
    try check("links", Int(status.linkCount), node.linkCount)
    try check("user", status.user, node.user)
    try check("group", status.group, node.group)
    if let time = node.modificationTime {
      let hasNanoseconds = status.creationTime != nil
      try check("mtime", status.modificationTime.seconds, time.seconds)
      if hasNanoseconds { try check("mtime's ns", status.modificationTime.nanoseconds, time.nanoseconds) }
    }
    switch node.type {
    case .directory: try await compareEntries(node, path, text)
    case .symbolicLink: try check("target", try await volume.symbolicLinkTarget(path), node.target)
    case .regular where !node.isUnknown:
      try check("size", status.byteCount, node.byteCount)
      try await compareData(node, path, text)
    case .blockDevice, .characterDevice: try check("device", status.device, node.device)
    default: break
    }
  }

  private func compareEntries(_ node: TreeModel.Node, _ path: [UInt8], _ text: String) async throws {
    var names: Set<[UInt8]> = []
    var position: UInt64 = 0
    // In small pieces: positions have to go on where the last piece ended.
    while true {
      let entries = try await volume.entries(of: path, from: position, limit: 7)
      for entry in entries where entry.name != Array(".".utf8) && entry.name != Array("..".utf8) {
        guard names.insert(entry.name).inserted else {
          throw TreeDifference(description: "\(text)/\(entry.text): twice")
        }
        guard let child = node.entries[entry.name] else {
          throw TreeDifference(description: "\(text)/\(entry.text): should not exist")
        }
        if let type = entry.type, type != child.type {
          throw TreeDifference(description: "\(text)/\(entry.text): the directory says \(type)")
        }
      }
      guard let last = entries.last else { break }
      position = last.nextPosition
    }
    for name in node.entries.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      guard let child = node.entries[name] else { continue }
      let childPath = (path == [0x2F] ? [] : path) + [0x2F] + name
      guard names.contains(name) else {
        throw TreeDifference(description: "\(String(decoding: childPath, as: UTF8.self)): is missing")
      }
      try await compare(child, childPath)
    }
  }

  private func compareData(_ node: TreeModel.Node, _ path: [UInt8], _ text: String) async throws {
    let file = try await volume.open(path, .noFollow)
    do {
      try await compareData(node, file, text)
    } catch {
      await file.close()
      throw error
    }
    await file.close()
  }

  private func compareData(_ node: TreeModel.Node, _ file: File, _ text: String) async throws {
    let size = UInt64(model.blockSize)
    let zeroes = [UInt8](repeating: 0, count: model.blockSize)
    for index in Set(node.blocks.keys.flatMap { [$0, $0 + 1] }).sorted() where index * size < node.byteCount {
      let count = min(size, node.byteCount - index * size)
      let found = try await file.read(at: index * size, count: Int(count))
      guard found == Array((node.blocks[index] ?? zeroes).prefix(Int(count))) else {
        throw TreeDifference(description: "\(text): the bytes of block \(index) differ")
      }
    }
    var expected = Array(node.blocks.keys.filter { $0 * size < node.byteCount }.sorted())
    var position: UInt64 = 0
    while let start = try? await file.seek(.data, from: position) {
      let end = try await file.seek(.hole, from: start)
      for index in start / size..<(end + size - 1) / size {
        guard expected.first == index else {
          throw TreeDifference(
            description: "\(text): block \(index) should be a hole, or block \(expected.first ?? 0) data")
        }
        expected.removeFirst()
      }
      position = end
    }
    guard expected.isEmpty else {
      throw TreeDifference(description: "\(text): block \(expected[0]) should not be a hole")
    }
  }
}
