import Ext2Tools
import SystemPackage
import Testing

@Suite struct VolumeBytesTests {
  @Test("what lies past the end of an image in memory is an error, not a trap", arguments: [1, 4096, UInt64.max])
  func pastTheEnd(offset: UInt64) {
    let image = MemoryBytes([UInt8](repeating: 7, count: 4096))
    let bytes: [UInt8] = [1, 2]
    #expect(throws: VolumeBytesError.self) { try image.write(bytes.span.bytes, at: max(4095, offset)) }
    #expect(image.bytes.allSatisfy { $0 == 7 })
  }
}
