import BlockDevice
import Ext2Tools
import Glibc
import Support
import SystemPackage
import Testing

@Suite struct VolumeBytesTests {
  @Test("what lies past the end of an image in memory is an error, not a trap", arguments: [1, 4096, UInt64.max])
  func pastTheEnd(offset: UInt64) {
    let image = MemoryBytes([UInt8](repeating: 7, count: 4096))
    let bytes: [UInt8] = [1, 2]
    #expect(throws: VolumeBytesError.self) { try image.write(unsafe bytes.span.bytes, at: max(4095, offset)) }
    #expect(image.bytes.allSatisfy { $0 == 7 })
  }

  @Test("what lies past the end of a file is an error and does not make it longer", arguments: [1, 4096, UInt64.max])
  func pastTheEndOfAFile(offset: UInt64) throws {
    try TemporaryFile.with(contents: [UInt8](repeating: 7, count: 4096)) { path in
      let file = try FileBytes(path: path, isWritable: true)
      let bytes: [UInt8] = [1, 2]
      #expect(throws: VolumeBytesError.self) { try file.write(unsafe bytes.span.bytes, at: max(4095, offset)) }
      #expect(throws: VolumeBytesError.self) { try file.zero(at: max(4095, offset), byteCount: 2) }
      #expect(try TemporaryFile.read(path) == [UInt8](repeating: 7, count: 4096))
    }
  }

  @Test("a file gives back what was written to it, and zeros where it was zeroed")
  func roundTrip() throws {
    try TemporaryFile.with(contents: [UInt8](repeating: 7, count: 65536)) { path in
      let file = try FileBytes(path: path, isWritable: true)
      #expect(file.byteCount == 65536)
      try file.zero(at: 4096, byteCount: 8192)
      let written: [UInt8] = [1, 2, 3]
      try file.write(unsafe written.span.bytes, at: 5000)
      var read = [UInt8](repeating: 9, count: 10_000)
      var span = read.mutableSpan
      var buffer = unsafe span.mutableBytes
      try file.read(at: 4000, into: &buffer)
      var expected = [UInt8](repeating: 7, count: 96) + [UInt8](repeating: 0, count: 8192)
      expected += [UInt8](repeating: 7, count: 10_000 - expected.count)
      expected.replaceSubrange(1000..<1003, with: written)
      #expect(read == expected)
    }
  }

  @Test("a file is claimed by who writes to it, and not by who reads")
  func claims() throws {
    try TemporaryFile.with(byteCount: 4096) { path in
      let writer = try FileBytes(path: path, isWritable: true)
      #expect(throws: DeviceError.inUse(path: path, by: "another opening for writing")) {
        try FileBytes(path: path, isWritable: true)
      }
      #expect(try FileBytes(path: path).byteCount == writer.byteCount)
    }
    #expect(try TemporaryFile.with(byteCount: 4096) { try FileBytes(path: $0, isWritable: true).byteCount } == 4096)
  }

  @Test("what holds no bytes is refused", arguments: ["/dev/null", "/", "/nowhere/at/all"])
  func refuses(path: String) { #expect(throws: DeviceError.self) { try FileBytes(path: path) } }
}
