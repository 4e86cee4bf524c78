// One member of a tar archive in the pax interchange format (POSIX.1-2017, pax, "pax Interchange Format" and "ustar
// Interchange Format"): a ustar header, and before it, where that has no room for something, an extended header.
//
//     offset size field                      offset size field
//          0  100 name                          156    1 typeflag
//        100    8 mode                          157  100 linkname
//        108    8 uid                           257    6 "ustar\0"
//        116    8 gid                           263    2 "00"
//        124   12 size                          265   32 uname (not used)
//        136   12 mtime                         297   32 gname (not used)
//        148    8 chksum                        329    8 devmajor
//                                               337    8 devminor
internal import Ext2
internal import Ext2Format
internal import Reactor

/// What a member's headers say.
struct PaxHeader {
  /// What a member is, by its letter.
  enum Kind: UInt8 {
    case regular = 0x30, hardLink = 0x31, symbolicLink = 0x32, characterDevice = 0x33, blockDevice = 0x34
    case directory = 0x35, fifo = 0x36
    /// An extended header for the next member.
    case extended = 0x78
  }
  /// Bytes of a header, and of the unit that everything is a multiple of.
  static let blockByteCount = 512

  var name: [UInt8]
  var kind: Kind
  var permissions: UInt16
  var user: UInt32
  var group: UInt32
  /// Bytes of the member's data in the archive.
  var byteCount: UInt64 = 0
  var modificationTime = CalendarTime(seconds: 0, nanoseconds: 0)
  var accessTime: CalendarTime?
  var linkName: [UInt8] = []
  var device: DeviceNumber?
  /// Further records of the extended header, in order.
  var records: [(key: [UInt8], value: [UInt8])] = []

  /// The headers, a multiple of 512 bytes.
  func encoded() -> [UInt8] {
    var records = records
    func add(_ key: String, _ value: [UInt8]) { records.append((Array(key.utf8), value)) }
    if name.count > 100 { add("path", name) }
    if linkName.count > 100 { add("linkpath", linkName) }
    if byteCount >> 33 != 0 { add("size", Array("\(byteCount)".utf8)) }
    if user >> 21 != 0 { add("uid", Array("\(user)".utf8)) }
    if group >> 21 != 0 { add("gid", Array("\(group)".utf8)) }
    let seconds = modificationTime.seconds
    if modificationTime.nanoseconds != 0 || seconds < 0 || seconds >> 33 != 0 {
      add("mtime", Self.text(modificationTime))
    }
    if let accessTime { add("atime", Self.text(accessTime)) }
    if records.isEmpty { return ustar() }
    let body = records.flatMap(Self.encoded)
    let extended = PaxHeader(
      name: Array("PaxHeaders/".utf8) + name.lastName.prefix(80), kind: .extended, permissions: 0o644, user: 0,
      group: 0, byteCount: UInt64(body.count))
    return extended.ustar() + body + Self.padding(after: UInt64(body.count)) + ustar()
  }

  /// Zeroes up to the next multiple of 512.
  static func padding(after byteCount: UInt64) -> [UInt8] {
    let rest = Int(byteCount % UInt64(blockByteCount))
    return [UInt8](repeating: 0, count: rest == 0 ? 0 : blockByteCount - rest)
  }

  /// "LENGTH key=value\n", where LENGTH counts its own digits, too.
  private static func encoded(_ record: (key: [UInt8], value: [UInt8])) -> [UInt8] {
    let rest = [UInt8(ascii: " ")] + record.key + [UInt8(ascii: "=")] + record.value + [10]
    var length = rest.count + 1
    while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
    return Array("\(length)".utf8) + rest
  }

  /// Seconds with a fraction, decimal. Nanoseconds count forward, also before 1970.
  private static func text(_ time: CalendarTime) -> [UInt8] {
    var seconds = time.seconds, nanoseconds = Int64(time.nanoseconds), sign = ""
    if seconds < 0 {
      sign = "-"
      if nanoseconds > 0 {
        seconds += 1
        nanoseconds = 1_000_000_000 - nanoseconds
      }
      seconds = -seconds
    }
    if nanoseconds == 0 { return Array("\(sign)\(seconds)".utf8) }
    let digits = "\(nanoseconds)"
    return Array("\(sign)\(seconds).\(String(repeating: "0", count: 9 - digits.utf8.count))\(digits)".utf8)
  }

  private func ustar() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.blockByteCount)
    func put(_ text: some Sequence<UInt8>, at offset: Int) {
      for (index, byte) in text.enumerated() { bytes[offset + index] = byte }
    }
    /// Octal digits and a NUL; what does not fit is in the extended header.
    func put(octal number: UInt64, at offset: Int, _ width: Int) {
      let digits = String(number & ((1 << UInt64(3 * (width - 1))) - 1), radix: 8)
      put((String(repeating: "0", count: width - 1 - digits.utf8.count) + digits).utf8, at: offset)
    }
    put(name.prefix(100), at: 0)
    put(octal: UInt64(permissions), at: 100, 8)
    put(octal: UInt64(user), at: 108, 8)
    put(octal: UInt64(group), at: 116, 8)
    put(octal: byteCount, at: 124, 12)
    put(octal: UInt64(max(0, modificationTime.seconds)), at: 136, 12)
    put("        ".utf8, at: 148)
    bytes[156] = kind.rawValue
    put(linkName.prefix(100), at: 157)
    put("ustar\u{0}00".utf8, at: 257)
    if let device {
      put(octal: UInt64(device.major), at: 329, 8)
      put(octal: UInt64(device.minor), at: 337, 8)
    }
    let checksum = String(bytes.reduce(0) { $0 + Int($1) }, radix: 8)
    put((String(repeating: "0", count: 6 - checksum.utf8.count) + checksum + "\u{0}").utf8, at: 148)
    return bytes
  }
}
