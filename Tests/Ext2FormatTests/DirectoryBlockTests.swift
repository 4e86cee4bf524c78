import Ext2Format
import Testing

@Suite("Directory block")
struct DirectoryBlockTests {
  static let place = BlockNumber(rawValue: 77)
  static let sizes = [1024, 2048, 4096, 32768, 65536]

  static func format(_ blockSize: Int = 1024, types: Bool = true) -> DirectoryBlock {
    DirectoryBlock(blockSize: blockSize, hasFileTypes: types, inodeCount: 5000)
  }

  /// Every entry in use: name, inode and type.
  static func list(_ bytes: [UInt8], _ format: DirectoryBlock) throws(FormatError) -> [(
    name: [UInt8], entry: DirectoryEntry
  )] {
    try bytes.reading { (span) throws(FormatError) in
      var found: [(name: [UInt8], entry: DirectoryEntry)] = []
      var offset = 0
      while let entry = try format.nextUsed(from: offset, in: span, block: place) {
        found.append((entry.name(in: span), entry))
        offset = entry.offset + entry.recordLength
      }
      return found
    }
  }

  @Test("a new directory holds itself and its parent, byte for byte as the kernel makes it")
  func dots() throws {
    var bytes = [UInt8](repeating: 0xEE, count: 1024)
    bytes.changing {
      Self.format().initializeDots(&$0, directory: InodeNumber(rawValue: 12), parent: .root)
    }
    #expect(Array(bytes[..<24]) == [12, 0, 0, 0, 12, 0, 1, 2, 46, 0, 0, 0, 2, 0, 0, 0, 0xF4, 3, 2, 2, 46, 46, 0, 0])
    #expect(bytes[24...].allSatisfy { $0 == 0 })
    let onlyDots = try bytes.reading { (span) throws(FormatError) in
      try Self.format().holdsOnlyDots(span, of: InodeNumber(rawValue: 12), block: Self.place)
    }
    #expect(onlyDots)
    let asOther = try bytes.reading { (span) throws(FormatError) in
      try Self.format().holdsOnlyDots(span, of: InodeNumber(rawValue: 13), block: Self.place)
    }
    #expect(!asOther)
  }

  @Test("a block of 64 KiB spans with a length that 16 bits cannot hold", arguments: [0xFFFF, 0])
  func largest(raw: Int) throws {
    let format = Self.format(65536)
    var bytes = [UInt8](repeating: 0, count: 65536)
    bytes.changing { format.initializeEmpty(&$0) }
    #expect(Array(bytes[4..<6]) == [0xFF, 0xFF])
    (bytes[4], bytes[5]) = (UInt8(raw & 0xFF), UInt8(raw >> 8))
    try bytes.reading { (span) throws(FormatError) in
      try format.check(span, block: Self.place)
      let entry = try format.entry(at: 0, in: span, block: Self.place)
      #expect(entry.recordLength == 65536)
    }
    let inserted = try bytes.changing { (span) throws(FormatError) in
      try format.insert(Array("a".utf8).span, inode: .root, type: .directory, into: &span, block: Self.place)
    }
    #expect(inserted != nil)
    #expect(try Self.list(bytes, format).count == 1)
  }

  @Test("without types an entry tells none, and the byte is written as zero")
  func withoutTypes() throws {
    let format = Self.format(types: false)
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.changing { format.initializeDots(&$0, directory: .root, parent: .root) }
    #expect(bytes[7] == 0)
    #expect(try Self.list(bytes, format).allSatisfy { $0.entry.type == nil })
    // What an older driver left there is not a part of the length.
    bytes[7] = 2
    #expect(try Self.list(bytes, format).count == 2)
  }

  @Test("names come and go as in a dictionary, and the block stays whole", arguments: sizes, [true, false])
  func model(blockSize: Int, types: Bool) throws {
    let format = Self.format(blockSize, types: types)
    var generator = SplitMix64(seed: UInt64(blockSize))
    var bytes = [UInt8](repeating: 0xEE, count: blockSize)
    bytes.changing { format.initializeEmpty(&$0) }
    var model: [[UInt8]: UInt32] = [:]
    var refused = 0
    for _ in 0..<1000 {
      let length =
        Bool.random(using: &generator)
        ? Int.random(in: 1...4, using: &generator) : Int.random(in: 1...255, using: &generator)
      let name = (0..<length).map { _ in UInt8.random(in: 97...(length < 3 ? 122 : 99), using: &generator) }
      let inode = UInt32.random(in: 1...5000, using: &generator)
      let found = try bytes.reading { (span) throws(FormatError) in
        try format.find(name.span, in: span, block: Self.place)?.inode.rawValue
      }
      #expect(found == model[name])
      if found != nil {
        try bytes.changing { (span) throws(FormatError) in
          _ = try format.remove(name: name.span, from: &span, block: Self.place)
        }
        model[name] = nil
      } else {
        let before = bytes
        let done = try bytes.changing { (span) throws(FormatError) in
          try format.insert(
            name.span, inode: InodeNumber(rawValue: inode), type: .regular, into: &span, block: Self.place)
        }
        if done != nil {
          model[name] = inode
        } else {
          refused += 1
          #expect(bytes == before)
          // Make room again: a block that is always full tests little.
          for victim in model.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }).prefix(3) {
            try bytes.changing { (span) throws(FormatError) in
              _ = try format.remove(name: victim.span, from: &span, block: Self.place)
            }
            model[victim] = nil
          }
        }
      }
      try bytes.reading { (span) throws(FormatError) in try format.check(span, block: Self.place) }
    }
    let listed = try Self.list(bytes, format)
    #expect(listed.count == model.count)
    for (name, entry) in listed {
      #expect(model[name] == entry.inode.rawValue)
      #expect(entry.type == (types ? .regular : nil))
    }
    if blockSize == 1024 { #expect(refused > 0) }
  }

  @Test("removing the first entry leaves it unused, removing another gives its space to the one before")
  func removal() throws {
    let format = Self.format()
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.changing { format.initializeEmpty(&$0) }
    for name in ["a", "b", "c"] {
      let done = try bytes.changing { (span) throws(FormatError) in
        try format.insert(
          Array(name.utf8).span, inode: .firstInRevisionZero, type: .regular, into: &span, block: Self.place)
      }
      #expect(done != nil)
    }
    func remove(_ name: String) throws {
      try bytes.changing { (span) throws(FormatError) in
        _ = try format.remove(name: Array(name.utf8).span, from: &span, block: Self.place)
      }
    }
    try remove("b")
    #expect(try Self.list(bytes, format).map(\.entry.recordLength) == [24, 1000])
    try remove("a")
    #expect(try Self.list(bytes, format).map(\.entry.offset) == [24])
    try remove("c")
    #expect(try Self.list(bytes, format).isEmpty)
    #expect(Array(bytes[4..<6]) == [0, 4])
  }

  @Test("a reader that comes back into the middle of an entry goes on at the next one")
  func boundary() throws {
    let format = Self.format()
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.changing { format.initializeDots(&$0, directory: .root, parent: .root) }
    for (offset, expected) in [(0, 0), (1, 12), (12, 12), (13, 1024), (1024, 1024), (9999, 1024)] {
      let found = try bytes.reading { (span) throws(FormatError) in
        try format.boundary(atOrAfter: offset, in: span, block: Self.place)
      }
      #expect(found == expected)
    }
  }

  @Test("an entry can name another inode")
  func retarget() throws {
    let format = Self.format()
    var bytes = [UInt8](repeating: 0, count: 1024)
    bytes.changing { format.initializeDots(&$0, directory: .root, parent: .root) }
    let entry = try #require(try Self.list(bytes, format).last?.entry)
    bytes.changing { format.setTarget(of: entry, inode: InodeNumber(rawValue: 40), type: .directory, in: &$0) }
    #expect(try Self.list(bytes, format).map(\.entry.inode.rawValue) == [2, 40])
  }

  /// Bytes to put over a good block (".", "..", then "name" at 24), and what must be said of them.
  static let flaws: [(at: Int, bytes: [UInt8], offset: Int, field: String)] = [
    (4, [0, 0], 0, "rec_len"), (4, [8, 0], 0, "rec_len"), (4, [13, 0], 0, "rec_len"), (4, [0xFF, 0xFF], 0, "rec_len"),
    (4, [4, 4], 0, "rec_len"), (16, [0xF8, 3], 12, "rec_len"), (16, [0xEC, 3], 1016, "rec_len"),
    (30, [255], 24, "name"), (30, [0], 24, "name_len"), (6, [9], 0, "name_len"),
    (24, [0x89, 0x13, 0, 0], 24, "inode"), (24, [0xFF, 0xFF, 0xFF, 0xFF], 24, "inode"), (33, [47], 24, "name"),
    (33, [0], 24, "name"),
  ]

  @Test("a malformed entry is refused, naming block, offset and field", arguments: flaws.indices)
  func flawed(_ index: Int) throws {
    let format = Self.format()
    var bytes = [UInt8](repeating: 0, count: 1024)
    try bytes.changing { (span) throws(FormatError) in
      format.initializeDots(&span, directory: .root, parent: .root)
      _ = try format.insert(
        Array("name".utf8).span, inode: .firstInRevisionZero, type: .regular, into: &span, block: Self.place)
      try format.check(span.bytes, block: Self.place)
    }
    let flaw = Self.flaws[index]
    bytes.replaceSubrange(flaw.at..<flaw.at + flaw.bytes.count, with: flaw.bytes)
    let error = #expect(throws: FormatError.self) {
      try bytes.reading { (span) throws(FormatError) in
        try format.check(span, block: Self.place)
        try format.checkNames(span, block: Self.place)
      }
    }
    guard case .invalid(.directoryBlock, .blockByte(Self.place, let offset), let field, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(offset == flaw.offset)
    #expect(field == flaw.field)
  }
}
